"""A few operators each, where the rules of quantization and of XNNPACK meet: DELEGATED is lowered in three number formats, ANNOTATED
together uses every rule of the quantizer, DYNAMICALLY is quantized while it runs."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from cases import DYNAMIC, STATIC, Case, Function, Quantization, batch_norms, draw_statistics, noise, seeded

# ---- delegated


class Joined(nn.Module):
    """A function of modules: function(self, *inputs)."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, *inputs):
        return self.function(self, *inputs)


class SqueezeExcite(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.tail = nn.Conv2d(8, 4, 1)

    def forward(self, x):
        x = F.relu(self.conv(x))
        return self.tail(x * torch.sigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1))))))


class Inverted(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
            nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU6(),
            nn.Conv2d(16, 8, 1, bias=False), nn.BatchNorm2d(8))

    def forward(self, x):
        return x + self.block(x)


class RecurrentCell(nn.Module):
    """An LSTM cell over a few steps, written out."""

    def __init__(self):
        super().__init__()
        self.gates = nn.Linear(6 + 5, 4 * 5)

    def forward(self, x, hidden, cell):
        for step in range(x.shape[1]):
            gates = self.gates(torch.cat([x[:, step], hidden], 1)).chunk(4, 1)
            cell = torch.sigmoid(gates[0]) * cell + torch.sigmoid(gates[1]) * torch.tanh(gates[2])
            hidden = torch.sigmoid(gates[3]) * torch.tanh(cell)
        return hidden, cell


class MaskedAttention(nn.Module):
    """Four query heads on two key heads, under a slice of a longer additive mask."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.full((1, 1, 9, 9), -torch.inf).triu(1))

    def forward(self, query, key, value):
        length = query.shape[2]
        return F.scaled_dot_product_attention(query, key, value, self.mask[:, :, :length, :length], enable_gqa=True)


IMAGE = (1, 8, 10, 10)
conv = nn.Conv2d


def of_shapes(module: nn.Module, shapes) -> Case:
    """Drawn inputs, and batch norms that do not vanish."""
    for norm in batch_norms(module):
        norm.running_mean.uniform_(-0.2, 0.2)
        norm.running_var.uniform_(0.5, 1.5)

    def draw(count, seed):
        generator = torch.Generator().manual_seed(seed)
        return [tuple(torch.randn(shape, generator=generator) for shape in shapes) for _ in range(count)]

    return Case(module.eval(), draw(1, 1), draw=draw)


# All in float and, with ExecuTorch's static quantizer, in int8.
with seeded():
    DELEGATED = {name: of_shapes(*row) for name, row in {
        "conv_relu": (nn.Sequential(conv(8, 6, 3, padding=1), nn.ReLU()), [IMAGE]),
        "conv_relu6": (nn.Sequential(conv(8, 6, 3, stride=2), nn.ReLU6(), conv(6, 4, 1)), [IMAGE]),
        "conv_grouped": (conv(8, 4, 3, groups=2, dilation=2), [IMAGE]),
        "conv_depthwise": (conv(8, 16, 3, groups=8), [IMAGE]),
        "conv_transpose": (nn.ConvTranspose2d(8, 4, 3, stride=2, output_padding=1), [IMAGE]),
        "conv1d": (nn.Sequential(nn.Conv1d(4, 8, 5, padding=2), nn.ReLU(), nn.Conv1d(8, 4, 3)), [(2, 4, 20)]),
        "conv_bn": (nn.Sequential(conv(8, 6, 3), nn.BatchNorm2d(6), nn.ReLU()), [IMAGE]),
        "bn_alone": (nn.BatchNorm2d(8), [IMAGE]),
        "inverted_residual": (Inverted(), [IMAGE]),
        "squeeze_excite": (SqueezeExcite(), [(1, 3, 12, 12)]),
        "same_padding": (Joined(lambda m, x: m.b(F.pad(F.relu6(m.a(x)), (0, 1, 0, 1))), a=conv(8, 8, 1), b=conv(8, 4, 3, stride=2)), [IMAGE]),
        "linear": (nn.Linear(9, 5), [(3, 9)]),
        "linear_rank3": (nn.Sequential(nn.Linear(9, 12), nn.GELU(), nn.Linear(12, 4)), [(2, 3, 9)]),
        "linear_relu": (nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 4), nn.ReLU6()), [(3, 9)]),
        "classifier": (nn.Sequential(conv(8, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)), [IMAGE]),
        "mean_classifier": (Joined(lambda m, x: m.fc(F.relu(m.a(x)).mean((2, 3))), a=conv(8, 16, 3), fc=nn.Linear(16, 5)), [IMAGE]),
        "softmax_classifier": (nn.Sequential(nn.Linear(9, 5), nn.Softmax(-1)), [(3, 9)]),
        "segmentation": (nn.Sequential(conv(8, 5, 3), nn.Softmax(1)), [IMAGE]),
        "add": (Function(lambda x, y: x + y), [(2, 3), (2, 3)]),
        "add_relu": (Function(lambda x, y: F.relu(x + y)), [(2, 3), (2, 3)]),
        "sub_mul": (Function(lambda x, y: (x - y) * y), [(2, 3), (3,)]),
        "mul_relu": (Function(lambda x, y: F.relu(x * y)), [(2, 3), (2, 3)]),
        "div_min_max": (Function(lambda x, y: torch.minimum(x / (y.abs() + 1), torch.maximum(x, y))), [(2, 3), (2, 3)]),
        "scalars": (Function(lambda x: (x + 1) * 0.5 - 2), [(2, 3)]),
        "cat": (Joined(lambda m, x: torch.cat([m.a(x), m.b(x)], 1), a=conv(8, 4, 1), b=conv(8, 2, 1)), [IMAGE]),
        "cat_of_six": (Function(lambda x: torch.cat([x * i for i in range(1, 7)], 1)), [(2, 3)]),
        "max_pool": (nn.Sequential(conv(8, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)), [IMAGE]),
        "max_pool_ceil": (nn.Sequential(conv(8, 4, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)), [IMAGE]),
        "avg_pool": (nn.Sequential(conv(8, 4, 3), nn.ReLU(), nn.AvgPool2d(2)), [IMAGE]),
        "upsample": (nn.Sequential(conv(8, 4, 3), nn.Upsample(scale_factor=2, mode="bilinear")), [IMAGE]),
        "upsample_aligned": (nn.UpsamplingBilinear2d(size=(13, 17)), [IMAGE]),
        "hardswish": (nn.Sequential(conv(8, 4, 3), nn.Hardswish(), conv(4, 4, 1)), [IMAGE]),
        "hardsigmoid": (nn.Sequential(conv(8, 4, 3), nn.Hardsigmoid()), [IMAGE]),
        "silu": (nn.Sequential(conv(8, 4, 3), nn.SiLU(), conv(4, 4, 1)), [IMAGE]),
        "sigmoid": (nn.Sequential(nn.Linear(9, 5), nn.Sigmoid()), [(3, 9)]),
        "tanh": (nn.Sequential(nn.Linear(9, 5), nn.Tanh()), [(3, 9)]),
        "elu": (nn.Sequential(conv(8, 4, 3), nn.ELU(), conv(4, 4, 1)), [IMAGE]),
        "leaky_relu": (nn.Sequential(conv(8, 4, 3), nn.LeakyReLU(0.1), conv(4, 4, 1)), [IMAGE]),
        "prelu": (nn.Sequential(conv(8, 4, 3), nn.PReLU(4)), [IMAGE]),
        "clamp": (Joined(lambda m, x: m.a(x).clamp(-0.25, 0.5), a=conv(8, 4, 3)), [IMAGE]),
        "unary": (Function(lambda x: torch.exp(-x.abs()) + x.square().sqrt().floor() + torch.rsqrt(x * x + 1)), [(2, 7)]),
        "view_permute": (Joined(lambda m, x: m.fc(x.view(2, 3, 4).permute(0, 2, 1).reshape(2, 12)), fc=nn.Linear(12, 5)), [(2, 12)]),
        "slice": (Joined(lambda m, x: m.a(x)[:, 1:3] * 2, a=conv(8, 4, 3)), [IMAGE]),
        "unsqueeze_squeeze": (Function(lambda x: (x.unsqueeze(0) * 2).squeeze(0) + 1), [(2, 3)]),
        "bmm": (Function(lambda x, y: torch.bmm(x, y)), [(2, 3, 4), (2, 4, 5)]),
        "attention": (nn.MultiheadAttention(8, 2, batch_first=True), [(1, 5, 8)] * 3),
        "grouped_attention": (MaskedAttention(), [(1, 4, 5, 8), (1, 2, 5, 8), (1, 2, 5, 8)]),
        "channels_last_block": (Joined(lambda m, x: x + m.fc(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), a=conv(8, 8, 3, padding=1), fc=nn.Linear(8, 8)), [IMAGE]),
        "max_values": (Joined(lambda m, x: m.a(x).max(2)[0] + 1, a=conv(8, 4, 3)), [IMAGE]),
        "amax": (Joined(lambda m, x: m.a(x).amax((2, 3)) * 2, a=conv(8, 4, 3)), [IMAGE]),
        "gelu_tanh": (nn.Sequential(nn.Linear(9, 12), nn.GELU(approximate="tanh"), nn.Linear(12, 4)), [(3, 9)]),
        "add_alpha": (Function(lambda x, y: torch.add(x, y, alpha=2).sub(y, alpha=0.5)), [(2, 3), (2, 3)]),
        "matmul": (Function(lambda x, y: torch.relu(x @ y)), [(3, 4), (4, 5)]),
        "linear_of_values": (Function(lambda x, y, z: F.linear(x, y, z)), [(3, 4), (5, 4), (5,)]),
        "cat_of_same": (Joined(lambda m, x: torch.cat([m.a(x)] * 2, 1) * 2, a=conv(8, 4, 1)), [IMAGE]),
        "stack_of_strided": (Function(lambda x: torch.stack([x[:, 1::2], x[:, ::2] * 2], -1)), [(2, 8)]),
        "layer_norm": (nn.Sequential(nn.Linear(9, 12), nn.LayerNorm(12), nn.Linear(12, 4)), [(2, 3, 9)]),
        "group_norm": (nn.Sequential(conv(8, 8, 3), nn.GroupNorm(2, 8)), [IMAGE]),
        "pow": (Function(lambda x: x.pow(3) + (x.abs() + 1).pow(0.5) + x.pow(4) + (x.abs() + 1).pow(-1)), [(2, 7)]),
        "log_softmax": (nn.Sequential(nn.Linear(9, 5), nn.LogSoftmax(-1)), [(3, 9)]),
        "softmax_rows": (Function(lambda x: torch.softmax(x * 2, 1)), [(2, 3, 4)]),
        "lstm_cell": (nn.LSTMCell(6, 5), [(2, 6)]),
        "gru_cell": (nn.GRUCell(6, 5), [(2, 6)]),
        "rnn_cell": (nn.RNNCell(6, 5), [(2, 6), (2, 5)]),
        "lstm": (Joined(lambda m, x: m.rnn(x)[0], rnn=nn.LSTM(6, 5, batch_first=True)), [(2, 4, 6)]),
        "recurrent_cell": (RecurrentCell(), [(2, 3, 6), (2, 5), (2, 5)]),
        "nearest": (nn.Sequential(conv(8, 4, 3), nn.Upsample(scale_factor=2)), [IMAGE]),
        "shared_convolution": (Joined(lambda m, x: m.a(F.relu(m.a(x))), a=conv(8, 8, 3)), [IMAGE]),
    }.items()}
# Where int8 chains and float16 have rules of their own.
INT8 = ("conv_relu", "conv_relu6", "conv_depthwise", "conv_transpose", "conv1d", "inverted_residual", "squeeze_excite", "same_padding",
        "linear_relu", "mean_classifier", "add_relu", "sub_mul", "mul_relu", "cat_of_six", "max_pool", "avg_pool", "upsample", "hardswish",
        "silu", "elu", "gelu_tanh", "add_alpha", "clamp", "slice", "attention", "layer_norm", "shared_convolution", "channels_last_block")
HALF = ("conv_relu", "conv_depthwise", "linear_rank3", "add_relu", "cat", "avg_pool", "gelu_tanh", "mean_classifier", "layer_norm", "unary")
FORMATS = [(name, mode) for mode, names in (("fp32", DELEGATED), ("int8", INT8), ("fp16", HALF)) for name in names]


def in_half(case: Case) -> Case:
    halves = lambda calls: [tuple(value.half() for value in call) for call in calls]  # noqa: E731
    return Case(copy.deepcopy(case.module).half(), halves(case.calls), draw=lambda count, seed: halves(case.draw(count, seed)))


# ---- annotated


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


NETWORKS = {  # and the sizes of inputs
    "small_cnn": (SmallCnn, [(1, 3, 16, 16)]),
    "shared": (Shared, [(1, 4, 6, 6), (2, 6)]),
    "activations": (Activations, [(1, 4, 5, 5)]),
    "convolutions": (Convolutions, [(1, 4, 16)]),
    "arithmetic": (Arithmetic, [(1, 4, 8, 8)]),
    "tied_heads": (TiedHeads, [(2, 6), (1, 1, 6, 6)]),
}
REAL = ["mobilenet_v2", "resnet18", "efficientnet_lite0"]  # of networks.SHARED
LINEAR, CONV2D = "torch.nn.modules.linear.Linear", "torch.nn.modules.conv.Conv2d"


def only(*choices) -> Quantization:
    return Quantization(None, [(*choice, STATIC) for choice in choices])


# name: network, how it is quantized, how it is exported
ANNOTATED = {
    **{name: (name, Quantization(), {}) for name in [*NETWORKS, *REAL]},
    "small_cnn_per_tensor": ("small_cnn", Quantization({"is_per_channel": False}), {}),
    "small_cnn_inference": ("small_cnn", Quantization(), {"form": "inference"}),
    "shared_inference": ("shared", Quantization(), {"form": "inference"}),
    "arithmetic_strict": ("arithmetic", Quantization(), {"options": {"strict": True}}),
    "activations_dynamic": ("activations", Quantization(DYNAMIC), {}),
    "convolutions_dynamic": ("convolutions", Quantization(DYNAMIC), {}),
    "shared_dynamic": ("shared", Quantization(DYNAMIC), {}),
    "tied_heads_name": ("tied_heads", only(("module_name", "block.2"), ("module_name", "conv")), {}),
    "tied_heads_name_and_all": ("tied_heads", Quantization(configs=[("module_name", "block.2", STATIC)]), {}),
    "tied_heads_type": ("tied_heads", only(("module_type", LINEAR), ("module_type", CONV2D)), {}),
    "small_cnn_type": ("small_cnn", Quantization(configs=[("module_type", CONV2D, STATIC)]), {}),
    "small_cnn_operator": ("small_cnn", only(("operator_type", "aten.conv2d.default"), ("operator_type", "aten.add.Tensor")), {}),
    "activations_operator": ("activations", only(("operator_type", "aten.linear.default")), {}),
}


def annotated(name: str) -> Case:
    from cases import networks

    network, quantization, options = ANNOTATED[name]
    if network in REAL:
        case = networks.SHARED[network]()
        return Case(case.module, case.calls, draw=case.draw, quantization=quantization, **options)
    constructor, sizes = NETWORKS[network]
    with seeded(3):
        module = draw_statistics(constructor())
    return Case(module, [tuple(noise(*size, seed=5) for size in sizes)], quantization=quantization, **options)


# ---- quantized while they run


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


IMAGES, ROWS = (1, 6, 10, 10), (5, 24)
# name: constructor, sizes of the input(, how it is quantized)
DYNAMICALLY = {
    "linear": (lambda: nn.Linear(24, 16), ROWS),
    "linear_3d": (lambda: nn.Linear(24, 16, bias=False), (2, 5, 24)),
    "conv": (lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1), (2, 6, 11, 9)),
    "conv_grouped": (lambda: nn.Conv2d(6, 8, 3, groups=2, bias=False), IMAGES),
    "conv_transpose": (lambda: nn.ConvTranspose2d(6, 4, 3, stride=2), IMAGES),
    "conv_bn": (lambda: nn.Sequential(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8)), IMAGES),
    "conv_relu": (lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1)), IMAGES),
    "conv_relu6": (lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.ReLU6()), IMAGES),
    "conv_one_channel": (lambda: nn.Conv2d(1, 8, 3), (1, 1, 10, 10)),
    "conv1d": (lambda: nn.Conv1d(6, 8, 3), (1, 6, 20)),
    "depthwise": (lambda: nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 8, 1)), IMAGES),
    "mlp": (lambda: nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 16)), ROWS),
    "heads": (Heads, (2, 5, 24)),
    "branches": (Branches, IMAGES),
    "twice": (Twice, IMAGES),
    "twice_static": (Twice, IMAGES, Quantization()),
    "per_tensor": (lambda: nn.Linear(24, 16), ROWS, Quantization({"is_per_channel": False, "is_dynamic": True})),
    "mixed_by_name": (Classifier, IMAGES, Quantization(configs=[("module_name", "hidden", DYNAMIC)])),
    "mixed_by_type": (Classifier, IMAGES, Quantization(configs=[("module_type", LINEAR, DYNAMIC)])),
    "mixed_by_operator": (Classifier, IMAGES, Quantization(DYNAMIC, [("operator_type", "aten.linear.default", STATIC)])),
}
# Here Intaglio quantizes more than torchao.
MORE_THAN_TORCHAO = ("conv_relu", "conv_one_channel", "conv1d", "twice", "twice_static", "mixed_by_operator")
CALIBRATION, TEST = 4, 8


def dynamically(name: str) -> Case:
    """Its first CALIBRATION calls calibrate, TEST more are compared."""
    constructor, size, *quantization = DYNAMICALLY[name]
    with seeded(11):
        module = draw_statistics(constructor())
    generator = torch.Generator().manual_seed(12)
    calls = [(torch.randn(*size, generator=generator),) for _ in range(CALIBRATION + TEST)]
    return Case(module, calls, quantization=quantization[0] if quantization else Quantization(DYNAMIC))
