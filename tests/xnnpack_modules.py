"""Small modules, a few ops each, for the XNNPACK oracle test."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


class Fn(nn.Module):
    """A function, with modules as attributes where it has weights."""

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

# name: (module, shapes of inputs). All run in float and statically quantized.
MODULES = {
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
    "same_padding": (Fn(lambda m, x: m.b(F.pad(F.relu6(m.a(x)), (0, 1, 0, 1))), a=conv(8, 8, 1), b=conv(8, 4, 3, stride=2)), [IMAGE]),
    "linear": (nn.Linear(9, 5), [(3, 9)]),
    "linear_rank3": (nn.Sequential(nn.Linear(9, 12), nn.GELU(), nn.Linear(12, 4)), [(2, 3, 9)]),
    "linear_relu": (nn.Sequential(nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 4), nn.ReLU6()), [(3, 9)]),
    "classifier": (nn.Sequential(conv(8, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5)), [IMAGE]),
    "mean_classifier": (Fn(lambda m, x: m.fc(F.relu(m.a(x)).mean((2, 3))), a=conv(8, 16, 3), fc=nn.Linear(16, 5)), [IMAGE]),
    "softmax_classifier": (nn.Sequential(nn.Linear(9, 5), nn.Softmax(-1)), [(3, 9)]),
    "segmentation": (nn.Sequential(conv(8, 5, 3), nn.Softmax(1)), [IMAGE]),
    "add": (Fn(lambda m, x, y: x + y), [(2, 3), (2, 3)]),
    "add_relu": (Fn(lambda m, x, y: F.relu(x + y)), [(2, 3), (2, 3)]),
    "sub_mul": (Fn(lambda m, x, y: (x - y) * y), [(2, 3), (3,)]),
    "mul_relu": (Fn(lambda m, x, y: F.relu(x * y)), [(2, 3), (2, 3)]),
    "div_min_max": (Fn(lambda m, x, y: torch.minimum(x / (y.abs() + 1), torch.maximum(x, y))), [(2, 3), (2, 3)]),
    "scalars": (Fn(lambda m, x: (x + 1) * 0.5 - 2), [(2, 3)]),
    "cat": (Fn(lambda m, x: torch.cat([m.a(x), m.b(x)], 1), a=conv(8, 4, 1), b=conv(8, 2, 1)), [IMAGE]),
    "cat_of_six": (Fn(lambda m, x: torch.cat([x * i for i in range(1, 7)], 1)), [(2, 3)]),
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
    "clamp": (Fn(lambda m, x: m.a(x).clamp(-0.25, 0.5), a=conv(8, 4, 3)), [IMAGE]),
    "unary": (Fn(lambda m, x: torch.exp(-x.abs()) + x.square().sqrt().floor() + torch.rsqrt(x * x + 1)), [(2, 7)]),
    "view_permute": (Fn(lambda m, x: m.fc(x.view(2, 3, 4).permute(0, 2, 1).reshape(2, 12)), fc=nn.Linear(12, 5)), [(2, 12)]),
    "slice": (Fn(lambda m, x: m.a(x)[:, 1:3] * 2, a=conv(8, 4, 3)), [IMAGE]),
    "unsqueeze_squeeze": (Fn(lambda m, x: (x.unsqueeze(0) * 2).squeeze(0) + 1), [(2, 3)]),
    "bmm": (Fn(lambda m, x, y: torch.bmm(x, y)), [(2, 3, 4), (2, 4, 5)]),
    "attention": (nn.MultiheadAttention(8, 2, batch_first=True), [(1, 5, 8)] * 3),
    "grouped_attention": (MaskedAttention(), [(1, 4, 5, 8), (1, 2, 5, 8), (1, 2, 5, 8)]),
    "channels_last_block": (Fn(lambda m, x: x + m.fc(m.a(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), a=conv(8, 8, 3, padding=1), fc=nn.Linear(8, 8)), [IMAGE]),
    "max_values": (Fn(lambda m, x: m.a(x).max(2)[0] + 1, a=conv(8, 4, 3)), [IMAGE]),
    "amax": (Fn(lambda m, x: m.a(x).amax((2, 3)) * 2, a=conv(8, 4, 3)), [IMAGE]),
    "gelu_tanh": (nn.Sequential(nn.Linear(9, 12), nn.GELU(approximate="tanh"), nn.Linear(12, 4)), [(3, 9)]),
    "add_alpha": (Fn(lambda m, x, y: torch.add(x, y, alpha=2).sub(y, alpha=0.5)), [(2, 3), (2, 3)]),
    "matmul": (Fn(lambda m, x, y: torch.relu(x @ y)), [(3, 4), (4, 5)]),
    "linear_of_values": (Fn(lambda m, x, y, z: F.linear(x, y, z)), [(3, 4), (5, 4), (5,)]),
    "cat_of_same": (Fn(lambda m, x: torch.cat([m.a(x)] * 2, 1) * 2, a=conv(8, 4, 1)), [IMAGE]),
    "stack_of_strided": (Fn(lambda m, x: torch.stack([x[:, 1::2], x[:, ::2] * 2], -1)), [(2, 8)]),
    "layer_norm": (nn.Sequential(nn.Linear(9, 12), nn.LayerNorm(12), nn.Linear(12, 4)), [(2, 3, 9)]),
    "group_norm": (nn.Sequential(conv(8, 8, 3), nn.GroupNorm(2, 8)), [IMAGE]),
    "pow": (Fn(lambda m, x: x.pow(3) + (x.abs() + 1).pow(0.5) + x.pow(4) + (x.abs() + 1).pow(-1)), [(2, 7)]),
    "log_softmax": (nn.Sequential(nn.Linear(9, 5), nn.LogSoftmax(-1)), [(3, 9)]),
    "softmax_rows": (Fn(lambda m, x: torch.softmax(x * 2, 1)), [(2, 3, 4)]),
    "lstm_cell": (nn.LSTMCell(6, 5), [(2, 6)]),
    "gru_cell": (nn.GRUCell(6, 5), [(2, 6)]),
    "rnn_cell": (nn.RNNCell(6, 5), [(2, 6), (2, 5)]),
    "lstm": (Fn(lambda m, x: m.rnn(x)[0], rnn=nn.LSTM(6, 5, batch_first=True)), [(2, 4, 6)]),
    "recurrent_cell": (RecurrentCell(), [(2, 3, 6), (2, 5), (2, 5)]),
    "nearest": (nn.Sequential(conv(8, 4, 3), nn.Upsample(scale_factor=2)), [IMAGE]),
    "shared_convolution": (Fn(lambda m, x: m.a(F.relu(m.a(x))), a=conv(8, 8, 3)), [IMAGE]),
}
# Where int8 chains and float16 have rules of their own.
INT8 = ("conv_relu", "conv_relu6", "conv_depthwise", "conv_transpose", "conv1d", "inverted_residual", "squeeze_excite", "same_padding",
        "linear_relu", "mean_classifier", "add_relu", "sub_mul", "mul_relu", "cat_of_six", "max_pool", "avg_pool", "upsample", "hardswish",
        "silu", "elu", "gelu_tanh", "add_alpha", "clamp", "slice", "attention", "layer_norm", "shared_convolution", "channels_last_block")
HALF = ("conv_relu", "conv_depthwise", "linear_rank3", "add_relu", "cat", "avg_pool", "gelu_tanh", "mean_classifier", "layer_norm", "unary")
CASES = [(name, mode) for mode, names in (("fp32", MODULES), ("int8", INT8), ("fp16", HALF)) for name in names]


def inputs_of(name: str, mode: str, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    dtype = torch.float16 if mode == "fp16" else torch.float32
    return tuple(torch.randn(shape, generator=generator).to(dtype) for shape in MODULES[name][1])


def exported(name: str, mode: str):
    """The exported program: float, float16, or converted by torchao with ExecuTorch's static quantizer."""
    torch.manual_seed(0)
    module = copy.deepcopy(MODULES[name][0]).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 1.5)
    example = inputs_of(name, mode)
    program = torch.export.export(module.half() if mode == "fp16" else module, example)
    if mode != "int8":
        return program
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    prepared = prepare_pt2e(program.module(), XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True)))
    for seed in (1, 2):
        prepared(*inputs_of(name, mode, seed))
    return torch.export.export(convert_pt2e(prepared), example)
