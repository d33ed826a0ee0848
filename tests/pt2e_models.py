"""Small networks that together use every rule of the XNNPACK quantizer, and torchao's view of a program.

Shared by tests/make_records/pt2e.py, which records torchao's decisions, and tests/test_pt2e.py, which compares ours.
"""

import hashlib
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn


class ConvBn(nn.Sequential):
    def __init__(self, inputs, outputs, kernel=3, groups=1, bias=False, activation=nn.ReLU, **options):
        layers = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias, **options), nn.BatchNorm2d(outputs)]
        super().__init__(*layers, *([activation()] if activation else []))


class SmallCnn(nn.Module):
    """conv-bn-relu, depthwise with relu6, residual add, concatenation, pools, linear, a number."""

    def __init__(self):
        super().__init__()
        self.stem = ConvBn(3, 8, stride=2)
        self.depthwise = ConvBn(8, 8, groups=8, activation=lambda: nn.ReLU6(inplace=True))
        self.point = ConvBn(8, 8, kernel=1, bias=True, activation=None)
        self.branch = nn.Conv2d(8, 4, 1)
        self.pool = nn.MaxPool2d(2)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.classify = nn.Linear(12, 10)

    def forward(self, x):
        x = self.stem(x)
        x = self.point(self.depthwise(x)) + x
        x = torch.cat([self.branch(x), x], 1)
        x = self.average(self.pool(x)).flatten(1)
        return self.classify(self.dropout(x)) * 2.0


class Shared(nn.Module):
    """Modules and tensors used twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.conv_bn = ConvBn(4, 4, bias=True)
        self.linear = nn.Linear(6, 6)

    def forward(self, x, y):
        a = self.conv(x)
        b = self.conv(torch.relu(a)) + a
        c = self.conv_bn(self.conv_bn(b))
        d = torch.cat([c, x], 1)
        e = torch.cat([torch.cat([x, a], 1), d], 1)
        z = self.linear(self.linear(y))
        return e + e, torch.cat([z, z], 1), a + x


class Activations(nn.Module):
    """Clips, in-place operators, and what only moves values."""

    def __init__(self):
        super().__init__()
        self.c1, self.c2, self.c3 = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.linear, self.last = nn.Linear(4, 4), nn.Linear(4, 3)
        self.tanh = nn.Hardtanh(-2.0, 2.0)

    def forward(self, x):
        x = self.tanh(self.c1(x))
        y = F.relu_(self.c2(x))
        y += x
        y = F.relu(y + self.c3(y))
        y = y.permute(0, 2, 3, 1).reshape(1, -1, 4)[:, 1:]
        y = F.relu(self.linear(y)).transpose(1, 2).mean(-1)
        y = F.hardswish(y) * torch.sigmoid(y)
        return F.relu6(self.last(y)).unsqueeze(0).squeeze(0)


class Convolutions(nn.Module):
    """Every kind of convolution, transposed ones too."""

    def __init__(self):
        super().__init__()
        self.line = nn.Conv1d(4, 8, 3, padding=1)
        self.line_norm = nn.BatchNorm1d(8)
        self.same = nn.Conv2d(8, 8, 3, padding="same", groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2, bias=False)
        self.up_norm = nn.BatchNorm2d(6)
        self.up_grouped = nn.ConvTranspose2d(6, 6, 2, stride=2, groups=2)
        self.up_plain = nn.ConvTranspose2d(6, 4, 3)
        self.volume = nn.Conv3d(1, 2, 1)
        self.features = nn.Linear(4, 5)
        self.feature_norm = nn.BatchNorm1d(5)

    def forward(self, x):
        x = F.relu(self.line_norm(self.line(x))).reshape(1, 8, 4, 4)
        x = F.relu(self.same(x))
        x = F.relu(self.up_norm(self.up(x)))
        x = self.up_plain(self.up_grouped(x))
        v = self.volume(x.unsqueeze(1))
        return self.feature_norm(self.features(x.mean([2, 3]))), v


class Arithmetic(nn.Module):
    """Adds and multiplications: with relu, numbers, parameters, masks, buffers, pools without a module."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 4)[None, :, None, None])
        self.register_buffer("offset", torch.linspace(-1, 1, 4)[None, :, None, None])
        self.pool = nn.AdaptiveAvgPool2d(2)

    def forward(self, x):
        y = F.relu(x * self.scale) + self.offset
        y = F.relu(y + x) * 0.5
        y = y - x
        masked = y + 1e30
        y *= 1.5
        pooled = F.adaptive_avg_pool2d(y, 2) + self.pool(F.adaptive_avg_pool2d(x, 4))
        return 2 + pooled, masked


class TiedHeads(nn.Module):
    """A weight under two names, and layers in nested modules."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Sequential(nn.Linear(6, 6), nn.ReLU()))
        self.head = nn.Linear(6, 6)
        self.head.weight = self.block[0].weight
        self.conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())

    def forward(self, x, image):
        return self.head(self.block(x)), self.conv(image)


def random(*sizes):
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(5))


MODELS = {
    "small_cnn": (SmallCnn, lambda: (random(1, 3, 16, 16),)),
    "shared": (Shared, lambda: (random(1, 4, 6, 6), random(2, 6))),
    "activations": (Activations, lambda: (random(1, 4, 5, 5),)),
    "convolutions": (Convolutions, lambda: (random(1, 4, 16),)),
    "arithmetic": (Arithmetic, lambda: (random(1, 4, 8, 8),)),
    "tied_heads": (TiedHeads, lambda: (random(2, 6), random(1, 1, 6, 6))),
}
REAL_MODELS = ["mobilenet_v2", "resnet18", "efficientnet_lite0"]


@dataclass
class Case:
    """A program and how the quantizer is configured; `strict` picks the exporter's mode."""

    model: str
    per_channel: bool = True
    dynamic: bool = False
    strict: bool = False
    inference: bool = False
    module_names: list = field(default_factory=list)
    module_types: list = field(default_factory=list)
    operators: list = field(default_factory=list)
    everything: bool = True

    def arguments(self):
        flags = [] if self.per_channel else ["--per-tensor"]
        flags += ["--dynamic"] if self.dynamic else []
        for option, values in (("--module-name", self.module_names), ("--module-type", self.module_types), ("--operator", self.operators)):
            for value in values:
                flags += [option, value]
        return flags + (["--global"] if self.everything else [])


LINEAR, CONV2D = "torch.nn.modules.linear.Linear", "torch.nn.modules.conv.Conv2d"
CASES = {
    **{name: Case(name) for name in MODELS},
    **{name: Case(name) for name in REAL_MODELS},
    "small_cnn_per_tensor": Case("small_cnn", per_channel=False),
    "small_cnn_inference": Case("small_cnn", inference=True),
    "shared_inference": Case("shared", inference=True),
    "arithmetic_strict": Case("arithmetic", strict=True),
    "activations_dynamic": Case("activations", dynamic=True),
    "convolutions_dynamic": Case("convolutions", dynamic=True),
    "shared_dynamic": Case("shared", dynamic=True),
    "tied_heads_name": Case("tied_heads", module_names=["block.2", "conv"], everything=False),
    "tied_heads_name_and_all": Case("tied_heads", module_names=["block.2"]),
    "tied_heads_type": Case("tied_heads", module_types=[LINEAR, CONV2D], everything=False),
    "small_cnn_type": Case("small_cnn", module_types=[CONV2D]),
    "small_cnn_operator": Case("small_cnn", operators=["aten.conv2d.default", "aten.add.Tensor"], everything=False),
    "activations_operator": Case("activations", operators=["aten.linear.default"], everything=False),
}


def build(name):
    """(model in eval mode, example inputs); batch norms have statistics of their own."""
    if name in REAL_MODELS:
        import oracle_models

        model, inputs = oracle_models.MODELS[name]()
        return model, inputs(1, 0)[0]
    constructor, inputs = MODELS[name]
    torch.manual_seed(3)
    model = constructor()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.weight.data, 0.5), (module.bias.data, -0.3)):
                tensor.copy_(torch.rand(tensor.shape) + low)
    return model.eval(), inputs()


def export(case: Case, path):
    """Writes the case's archive and gives the program as torch reads it back."""
    model, inputs = build(case.model)
    program = torch.export.export(model, inputs, strict=case.strict)
    if case.inference:
        program = program.run_decompositions({})
    torch.export.save(program, path)
    return torch.export.load(path), inputs


def digest(program) -> str:
    """Of the graph's operators and names, and of every weight's name and type: values differ in their last bits between machines."""
    sha = hashlib.sha256()
    for node in program.graph.nodes:
        sha.update(f"{node.op} {node.name} {node.target} {node.args} {node.kwargs}\n".encode())
    for name, tensor in program.state_dict.items():
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
    return sha.hexdigest()


def make_quantizer(case: Case):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config

    def resolve(name):
        value = torch
        for part in name.split(".")[1:]:
            value = getattr(value, part)
        return value

    config = get_symmetric_quantization_config(is_per_channel=case.per_channel, is_dynamic=case.dynamic)
    quantizer = XNNPACKQuantizer()
    for name in case.module_names:
        quantizer.set_module_name(name, config)
    for name in case.module_types:
        quantizer.set_module_type(resolve(name), config)
    for name in case.operators:
        quantizer.set_operator_type(resolve("torch.ops." + name), config)
    if case.everything:
        quantizer.set_global(config)
    return quantizer


OBSERVER_NAMES = {
    "HistogramObserver": "histogram",
    "MinMaxObserver": "min_max",
    "PerChannelMinMaxObserver": "per_channel_min_max",
    "PlaceholderObserver": "placeholder",
}


def node_name(node):
    return node.target if node.op == "get_attr" else node.name


def key_text(key):
    return node_name(key) if isinstance(key, torch.fx.Node) else f"{node_name(key[0])} -> {key[1].name}"


def spec_text(spec):
    if spec is None:
        return "float"
    if hasattr(spec, "edge_or_node"):
        return f"shared with ({key_text(spec.edge_or_node)})"
    observer = OBSERVER_NAMES[spec.observer_or_fake_quant_ctr.p.func.__name__]
    axis = f" axis {spec.ch_axis}" if spec.ch_axis is not None else ""
    scheme = str(spec.qscheme).removeprefix("torch.")
    dtype = str(spec.dtype).removeprefix("torch.")
    return f"{dtype} {scheme} [{spec.quant_min}, {spec.quant_max}]{axis} {observer}{' dynamic' if spec.is_dynamic else ''}"


def annotations(prepared):
    rows = []
    for node in prepared.graph.nodes:
        annotation = node.meta.get("quantization_annotation")
        if annotation is None or not (annotation.input_qspec_map or annotation.output_qspec is not None):
            continue
        inputs = [[node_name(key), spec_text(spec)] for key, spec in annotation.input_qspec_map.items()]
        rows.append([node.name, inputs, None if annotation.output_qspec is None else spec_text(annotation.output_qspec)])
    return rows


def is_observer(node):
    return node.op == "call_module" and node.target.startswith("activation_post_process")


def observed(node):
    while is_observer(node):
        node = node.args[0]
    return node


def observers(prepared, with_qparams=False):
    """[tensor, sorted users, group(, scales, zero points)], sorted; groups numbered as they appear."""
    rows = []
    for node in prepared.graph.nodes:
        if is_observer(node):
            users = sorted(user.name for user in node.users if not is_observer(user))
            rows.append((node_name(observed(node)), users, getattr(prepared, node.target)))
    rows.sort(key=lambda row: row[:2])
    numbers, result = {}, []
    for value, users, module in rows:
        row = [value, users, numbers.setdefault(id(module), len(numbers))]
        if with_qparams:
            scale, zero_point = module.calculate_qparams()
            row += [scale.double().flatten().tolist(), zero_point.flatten().tolist()]
        result.append(row)
    return result
