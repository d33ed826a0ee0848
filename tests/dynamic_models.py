"""Small networks for dynamic quantization: shared by tests/make_records/dynamic.py and tests/test_dynamic.py."""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Callable

import torch
from torch import nn

LINEAR, CONV2D = "torch.nn.modules.linear.Linear", "torch.nn.modules.conv.Conv2d"
DYNAMIC, STATIC = {"is_per_channel": True, "is_dynamic": True}, {"is_per_channel": True}


class Branches(nn.Module):
    """One image read by a convolution over neighbours and by one over single pixels, as in residual blocks."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(6, 8, 3, padding=1), nn.Conv2d(6, 8, 1)

    def forward(self, x):
        return self.wide(x) + self.narrow(x)


class Twice(nn.Module):
    """A convolution and a linear that are called twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(6, 6, 3, padding=1), nn.Linear(6, 6)

    def forward(self, x):
        x = self.conv(self.conv(x) * 0.7).mean([2, 3])
        return self.linear(self.linear(x))


class Heads(nn.Module):
    """Three linears on one tensor, as in attention."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(24, 16) for _ in range(3))

    def forward(self, x):
        return torch.softmax(self.query(x) @ self.key(x).transpose(-1, -2) / 4, -1) @ self.value(x)


class Classifier(nn.Module):
    """Convolutions, then linears."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(6, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
                                      nn.Conv2d(12, 16, 3, stride=2, padding=1), nn.ReLU())
        self.hidden, self.last = nn.Linear(16 * 25, 24), nn.Linear(24, 8)

    def forward(self, x):
        return self.last(torch.relu(self.hidden(self.features(x).flatten(1))))


def vectors(*sizes):
    return lambda generator: (torch.randn(*sizes, generator=generator),)


image = vectors(1, 6, 10, 10)


@dataclass
class Case:
    """`configs`: what is set on the quantizer, [("module_type", LINEAR, DYNAMIC), ...], before `everything`."""

    model: Callable
    inputs: Callable
    everything: dict = field(default_factory=lambda: DYNAMIC)
    configs: list = field(default_factory=list)
    same: bool = True  # Intaglio quantizes what torchao quantizes


CASES = {
    "linear": Case(lambda: nn.Linear(24, 16), vectors(5, 24)),
    "linear_3d": Case(lambda: nn.Linear(24, 16, bias=False), vectors(2, 5, 24)),
    "conv": Case(lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1), vectors(2, 6, 11, 9)),
    "conv_grouped": Case(lambda: nn.Conv2d(6, 8, 3, groups=2, bias=False), image),
    "conv_transpose": Case(lambda: nn.ConvTranspose2d(6, 4, 3, stride=2), image),
    "conv_bn": Case(lambda: nn.Sequential(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8)), image),
    "conv_relu": Case(lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1)), image, same=False),
    "conv_relu6": Case(lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU6()), image),
    "conv_one_channel": Case(lambda: nn.Conv2d(1, 8, 3), vectors(1, 1, 10, 10), same=False),
    "conv1d": Case(lambda: nn.Conv1d(6, 8, 3), vectors(1, 6, 20), same=False),
    "depthwise": Case(lambda: nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 8, 1)), image),
    "mlp": Case(lambda: nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 16)), vectors(5, 24)),
    "heads": Case(Heads, vectors(2, 5, 24)),
    "branches": Case(Branches, image),
    "twice": Case(Twice, image, same=False),
    "twice_static": Case(Twice, image, everything=STATIC, same=False),
    "per_tensor": Case(lambda: nn.Linear(24, 16), vectors(5, 24), everything={"is_per_channel": False, "is_dynamic": True}),
    "mixed_by_name": Case(Classifier, image, everything=STATIC, configs=[("module_name", "hidden", DYNAMIC)]),
    "mixed_by_type": Case(Classifier, image, everything=STATIC, configs=[("module_type", LINEAR, DYNAMIC)]),
    "mixed_by_operator": Case(Classifier, image, everything=DYNAMIC, configs=[("operator_type", "aten.linear.default", STATIC)], same=False),
}
TEST = 8


def build(name):
    """(model in eval mode, calibration samples, test samples)."""
    case = CASES[name]
    torch.manual_seed(11)
    model = case.model()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.weight.data, 0.5), (module.bias.data, -0.3)):
                tensor.copy_(torch.rand(tensor.shape) + low)
    generator = torch.Generator().manual_seed(12)
    samples = [case.inputs(generator) for _ in range(4 + TEST)]
    return model.eval(), samples[:4], samples[4:]


def digest(model, samples) -> str:
    state = hashlib.sha256()
    for tensor in [*model.state_dict().values(), *(tensor for sample in samples for tensor in sample)]:
        state.update(tensor.numpy().tobytes())
    return state.hexdigest()


def make_quantizer(case: Case):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

    def resolve(kind, name):
        if kind == "module_name":
            return name
        value = torch if kind == "module_type" else torch.ops
        for part in name.split(".")[kind == "module_type":]:
            value = getattr(value, part)
        return value

    quantizer = XNNPACKQuantizer()
    for kind, name, config in case.configs:
        getattr(quantizer, f"set_{kind}")(resolve(kind, name), get_symmetric_quantization_config(**config))
    return quantizer.set_global(get_symmetric_quantization_config(**case.everything))


def quantize(case: Case, model, calibration):
    """torchao's converted module."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(torch.export.export(model, calibration[0]).module(), make_quantizer(case))
    for sample in calibration:  # dynamic weights are observed by running, too
        prepared(*sample)
    return convert_pt2e(prepared)


def recipe(case: Case, compat: str = "intaglio") -> dict:
    """The same as a recipe file."""
    key = {"module_name": "module_name", "module_type": "module_type", "operator_type": "op"}
    rules = [{"match": {key[kind]: name}, "config": config} for kind, name, config in case.configs]
    return {"schema": "intaglio-recipe/1", "backend": "xnnpack", "settings": {"compat": compat}, "rules": [*rules, {"config": case.everything}]}


def ops_of(program) -> list:
    """Operators in graph order, the parameters of quantization with them."""
    return [f"{node.target}{node.args[1:] if 'quantize' in str(node.target) and '.tensor' not in str(node.target) else ''}"
            for node in program.graph.nodes if node.op == "call_function"]


def save(program) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
