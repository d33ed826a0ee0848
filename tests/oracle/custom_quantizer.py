"""examples/custom_quantizer.cpp in Python, for torchao: the same decisions, so that the results can be compared."""

import torch
from torch import nn
from torch.fx import Node
from torchao.quantization.pt2e import HistogramObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantizer import (
    DerivedQuantizationSpec,
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

from cases import Case, seeded

ops = torch.ops.aten
ACTIVATION = QuantizationSpec(torch.int8, HistogramObserver, -128, 127, torch.per_tensor_affine)
WEIGHT = QuantizationSpec(torch.int8, PerChannelMinMaxObserver, -127, 127, torch.per_channel_symmetric, ch_axis=0)
ZERO_TO_ONE = FixedQParamsQuantizationSpec(torch.int8, 1 / 256, -128, -128, 127, torch.per_tensor_affine)
SHARING = (ops.relu.default, ops.max_pool2d.default, ops.adaptive_avg_pool2d.default, ops.flatten.using_ints)
KEY = "quantization_annotation"


def bias_of(node: Node) -> DerivedQuantizationSpec:
    def derive(observers):
        (input_scale, _), (weight_scale, _) = [observer.calculate_qparams() for observer in observers]
        scale = weight_scale * input_scale
        return scale, torch.zeros(scale.shape, dtype=torch.int64)

    edges = [(node.args[0], node), (node.args[1], node)]
    limits = torch.iinfo(torch.int32)
    return DerivedQuantizationSpec(edges, derive, torch.int32, limits.min, limits.max, torch.per_channel_symmetric, 0)


class ExampleQuantizer(Quantizer):
    def __init__(self, float_modules=()):
        super().__init__()
        self.float_modules = set(float_modules)

    def stays_float(self, node):
        paths = {path.removeprefix("L['self'].") for path, _ in node.meta.get("nn_module_stack", {}).values()}
        return bool(paths & self.float_modules)

    def set_result(self, node, annotation, spec):
        users = list(node.users)
        relu = users[0] if len(users) == 1 and users[0].target is ops.relu.default and not self.stays_float(users[0]) else None
        annotation._annotated = True
        node.meta[KEY] = annotation
        if relu is None:
            annotation.output_qspec = spec
        else:
            relu.meta[KEY] = QuantizationAnnotation(output_qspec=spec, _annotated=True)

    def annotate(self, model):
        for node in model.graph.nodes:
            if node.op != "call_function" or self.stays_float(node):
                continue
            if node.target in (ops.conv2d.default, ops.linear.default):
                specs = {node.args[0]: ACTIVATION, node.args[1]: WEIGHT}
                if len(node.args) > 2 and node.args[2] is not None:
                    specs[node.args[2]] = bias_of(node)
                self.set_result(node, QuantizationAnnotation(specs), ACTIVATION)
            elif node.target is ops.add.Tensor:
                self.set_result(node, QuantizationAnnotation({operand: ACTIVATION for operand in node.args}), ACTIVATION)
            elif node.target is ops.sigmoid.default:
                self.set_result(node, QuantizationAnnotation({node.args[0]: ACTIVATION}), ZERO_TO_ONE)
            elif node.target in SHARING and KEY not in node.meta:
                source = node.args[0]
                if KEY in source.meta and source.meta[KEY].output_qspec is not None:
                    shared = SharedQuantizationSpec(source)
                    output = SharedQuantizationSpec((source, node))
                    node.meta[KEY] = QuantizationAnnotation({source: shared}, output, _annotated=True)
        return model

    def validate(self, model):
        pass


class Gate(nn.Module):
    """Every operator that the example annotates; `head` is for keeping a module in float."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Linear(8, 6)
        self.head = nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = self.pool(torch.relu(self.body(x) + x))
        return self.head(torch.sigmoid(self.gate(torch.flatten(self.mean(x), 1))))


def gate() -> Case:
    """The first four calls are for calibration."""
    with seeded():
        module = Gate().eval()
    with torch.no_grad():
        module.gate.weight.mul_(8)  # so that the sigmoid is neither flat nor saturated
        module.head.weight.mul_(4)
    generator = torch.Generator().manual_seed(1)
    return Case(module, [(torch.randn(4, 3, 12, 12, generator=generator).cumsum(2) * 0.5,) for _ in range(12)])
