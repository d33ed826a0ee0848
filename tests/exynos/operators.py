"""Every operator that Samsung's compiler has a node for: how a program spells it, the node, and the node's parameters as literals."""

from dataclasses import dataclass
from typing import Callable

import torch
from torch import nn
from torch.nn import functional as F

from cases import noise, seeded

X, Y = noise(2, 8, 8, 8, seed=1), noise(2, 8, 8, 8, seed=2)
IDS = torch.tensor([1, 3, 0])
INPUTS = (X, Y, X.abs() + 0.5, IDS)


@dataclass
class Row:
    """`call` gets the layer, two tensors of [2, 8, 8, 8], a positive one and indices; `nodes` are what it becomes, in order."""

    call: Callable
    nodes: list
    layer: Callable = nn.Identity
    says_int8: bool = False  # with `quant_dtype` where its result is int8
    quantizes: bool = True  # ExecuTorch's flow has an error for those that do not
    range: str = "own"  # of a quantized result: "own", "shared" with what is read, "fixed", or "" where no rule quantizes it


def at(h, w=None, stem="kernel"):
    return {f"{stem}_h": h, f"{stem}_w": h if w is None else w}


def windows(kernel, stride, padding=(0, 0)):
    return at(*kernel) | at(*stride, stem="stride") | {"padding": "EXPLICIT", "explicit_padding": [*padding, *padding]}


def layer_of(kernel, channels, groups=1, stride=(1, 1), dilation=(1, 1), padding=(0, 0)):
    """`out_channels` stands for what ExecuTorch says: divided by the number of images."""
    into, out = channels
    return (
        at(*kernel)
        | at(*stride, stem="stride")
        | at(*dilation, stem="dilation")
        | {"groups": groups, "padding": "EXPLICIT", "padding_type": "CONSTANT", "explicit_padding": [*padding, *padding], "in_channels": into, "out_channels": out}
    )


def pieces(begin, end, strides=(1, 1, 1, 1), **more):
    return {"begin": list(begin), "end": list(end), "strides": list(strides), **more}


def with_layer(l, x, y, p, ids):
    return l(x)


ARITHMETIC = {
    "add": Row(lambda l, x, y, p, ids: x + y, [("ELTSUM", {})], says_int8=True, range="shared"),
    "add a number": Row(lambda l, x, y, p, ids: x + 1.5, [("ELTSUM", {})], range=""),
    "sub": Row(lambda l, x, y, p, ids: x - y, [("SUB", {})], says_int8=True, range="shared"),
    "mul": Row(lambda l, x, y, p, ids: x * y, [("ELTMUL", {})], says_int8=True, range="shared"),
    "mul by a number": Row(lambda l, x, y, p, ids: x * -2.5, [("ELTMUL", {})], says_int8=True),
    "div": Row(lambda l, x, y, p, ids: x / p, [("ELTDIV", {})], says_int8=True),
    "maximum": Row(lambda l, x, y, p, ids: torch.maximum(x, y), [("MAXIMUM", {})], range=""),
    "minimum": Row(lambda l, x, y, p, ids: torch.minimum(x, y), [("MIN", {})], range=""),
    "bmm": Row(lambda l, x, y, p, ids: torch.bmm(x.reshape(16, 8, 8), y.reshape(16, 8, 8)), [("RESHAPE", {"new_shape": [16, 8, 8]})] * 2 + [("BATCH_MATMUL", {})], says_int8=True),
    "mean": Row(lambda l, x, y, p, ids: x.mean((-1, 1), keepdim=True), [("REDUCEMEAN", {"keep_dims": True, "axis": [1, 3]})], says_int8=True),
    "sum": Row(lambda l, x, y, p, ids: x.sum((-1, 1)), [("REDUCESUM", {"keep_dims": False, "axis": [3, 1]})]),
}

FUNCTIONS = {
    "relu": Row(lambda l, x, y, p, ids: F.relu(x), [("RELU", {})], says_int8=True),
    "gelu": Row(lambda l, x, y, p, ids: F.gelu(x), [("GELU", {})], says_int8=True),
    "hardswish": Row(lambda l, x, y, p, ids: F.hardswish(x), [("HARDSWISH", {})], says_int8=True),
    "hardsigmoid": Row(lambda l, x, y, p, ids: F.hardsigmoid(x), [("HardSigmoid", {})], says_int8=True),
    "sigmoid": Row(lambda l, x, y, p, ids: torch.sigmoid(x), [("SIGMOID", {})], range="fixed"),
    "tanh": Row(lambda l, x, y, p, ids: torch.tanh(x), [("TANH", {})]),
    "sqrt": Row(lambda l, x, y, p, ids: torch.sqrt(p), [("SQRT", {})]),
    "rsqrt": Row(lambda l, x, y, p, ids: torch.rsqrt(p), [("RSQRT", {})]),
    "log": Row(lambda l, x, y, p, ids: torch.log(p), [("LOG", {})], range=""),
    "sin": Row(lambda l, x, y, p, ids: torch.sin(x), [("Sin", {})]),
    "cos": Row(lambda l, x, y, p, ids: torch.cos(x), [("Cos", {})]),
    "clamp": Row(lambda l, x, y, p, ids: torch.clamp(x, -0.5, 0.75), [("CLIP", {"minimum": -0.5, "maximum": 0.75})], says_int8=True),
    "clamp from below": Row(lambda l, x, y, p, ids: torch.clamp(x, min=0.25), [("CLIP", {"minimum": 0.25, "maximum": torch.finfo(torch.float32).max})], says_int8=True),
    "clamp by integers": Row(lambda l, x, y, p, ids: torch.clamp(x, -1, 1), [("CLIP", {"minimum": -1, "maximum": 1})], says_int8=True),
    "hardtanh": Row(lambda l, x, y, p, ids: F.hardtanh(x, -2.0, 0.5), [("CLIP", {"minimum": -2.0, "maximum": 0.5})], says_int8=True),
    "relu6": Row(lambda l, x, y, p, ids: F.relu6(x), [("CLIP", {"minimum": 0, "maximum": 6})], says_int8=True),
    "leaky_relu": Row(lambda l, x, y, p, ids: F.leaky_relu(x, 0.2), [("PRELU", {})]),
    "prelu": Row(with_layer, [("PRELU", {})], lambda: nn.PReLU(8)),
    "softmax": Row(lambda l, x, y, p, ids: F.softmax(x, -1), [("SOFTMAX", {"axis": -1})], says_int8=True),
    "log_softmax": Row(lambda l, x, y, p, ids: F.log_softmax(x, 1), [("LOGSOFTMAX", {"axis": 1})]),
}

LAYERS = {
    "conv2d": Row(
        with_layer,
        [("CONV2D", layer_of((3, 2), (8, 3), stride=(2, 1), dilation=(1, 2), padding=(1, 0)))],
        lambda: nn.Conv2d(8, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        says_int8=True,
    ),
    "conv2d of groups": Row(with_layer, [("CONV2D", layer_of((3, 3), (8, 8), groups=2))], lambda: nn.Conv2d(8, 16, 3, groups=2, bias=False), says_int8=True),
    "depthwise": Row(with_layer, [("DWCONV2D", layer_of((3, 3), (8, 4), groups=8))], lambda: nn.Conv2d(8, 8, 3, groups=8), says_int8=True),
    "transposed": Row(with_layer, [("DECONV2D", layer_of((2, 2), (8, 2), stride=(2, 2), padding=(1, 1)))], lambda: nn.ConvTranspose2d(8, 4, 2, stride=2, padding=1), range=""),
    "transposed depthwise": Row(with_layer, [("DWDECONV2D", layer_of((2, 2), (8, 4), groups=8, stride=(2, 2)))], lambda: nn.ConvTranspose2d(8, 8, 2, stride=2, groups=8), range=""),
    "conv1d": Row(
        lambda l, x, y, p, ids: l(x.reshape(2, 8, 64)),
        [
            ("RESHAPE", {"new_shape": [2, 8, 64]}),
            ("RESHAPE", {"new_shape": [2, 8, 64, 1]}),
            ("CONV2D", layer_of((3, 1), (8, 3), padding=(1, 0))),
            ("RESHAPE", {"new_shape": [2, 6, 64]}),
        ],
        lambda: nn.Conv1d(8, 6, 3, padding=1),
        range="",
    ),
    "linear": Row(with_layer, [("FC", {"in_channels": 8, "out_channels": 5})], lambda: nn.Linear(8, 5), says_int8=True),
    "avg_pool2d": Row(
        lambda l, x, y, p, ids: F.avg_pool2d(x, (3, 2), (2, 1), (1, 0), count_include_pad=False),
        [("AVGPOOL2D", windows((3, 2), (2, 1), (1, 0)) | {"count_include_pad": False})],
        says_int8=True,
    ),
    "max_pool2d": Row(
        lambda l, x, y, p, ids: F.max_pool2d(x, 3, 2, 1, dilation=(1, 2)),
        [("MAXPOOL2D", windows((3, 3), (2, 2), (1, 1)) | at(1, 2, stem="dilation"))],
        says_int8=True,
        range="shared",
    ),
    "layer_norm": Row(with_layer, [("LAYERNORM", {"epsilon": 1e-3})], lambda: nn.LayerNorm(8, eps=1e-3), says_int8=True),
    "batch_norm": Row(with_layer, [("BatchNormalization", {"epsilon": 1e-5})], lambda: nn.BatchNorm2d(8), range=""),
    "group_norm": Row(with_layer, [("GROUPNORM", {"num_groups": 2, "epsilon": 1e-5})], lambda: nn.GroupNorm(2, 8), quantizes=False),
    # Of a tensor that nothing else reads: ExecuTorch's pass may take the weight for the input otherwise.
    "rms_norm": Row(lambda l, x, y, p, ids: l(y), [("RMSNORM", {"normalize_shape": [8], "param_num": 2, "epsilon": 2.0**-10})], lambda: nn.RMSNorm(8, eps=2.0**-10)),
    "pixel_shuffle": Row(lambda l, x, y, p, ids: F.pixel_shuffle(x, 2), [("DEPTH_TO_SPACE", {"block_size": 2, "mode": "CRD"})], range=""),
    "bilinear": Row(
        lambda l, x, y, p, ids: F.interpolate(x, size=(12, 16), mode="bilinear"),
        [("RESIZE_BILINEAR", {"align_corners": False, "upsampling_factor": [1.5, 2.0], "half_pixel_centers": True})],
        says_int8=True,
    ),
    "nearest": Row(
        lambda l, x, y, p, ids: F.interpolate(x, size=(16, 24)),
        [("RESIZE_NEAREST_NEIGHBOR", {"align_corners": False, "upsampling_factor": [2.0, 3.0], "half_pixel_centers": True})],
    ),
}

MOVES = {
    "cat": Row(lambda l, x, y, p, ids: torch.cat([x, y], -1), [("CONCAT", {"axis": 3})], says_int8=True, range="shared"),
    "cat with a constant": Row(lambda l, x, y, p, ids: torch.cat([x, l.weight.view(2, 8, 8, 8)], 1), [("CONCAT", {"axis": 1, "constant_index": 1})], lambda: nn.Linear(64, 16), says_int8=True, range=""),
    "expand by nothing": Row(lambda l, x, y, p, ids: x.expand(1, 2, 8, 8, 8), [("RESHAPE", {"new_shape": [1, 2, 8, 8, 8]})], range="shared"),
    "view": Row(lambda l, x, y, p, ids: x.view(16, 64), [("RESHAPE", {"new_shape": [16, 64]})], range="shared"),
    "view as written": Row(lambda l, x, y, p, ids: x.view(2, -1), [("RESHAPE", {"new_shape": [2, -1]})], range="shared"),
    "unsqueeze": Row(lambda l, x, y, p, ids: x.unsqueeze(1), [("RESHAPE", {"new_shape": [2, 1, 8, 8, 8]})], range="shared"),
    "permute": Row(lambda l, x, y, p, ids: x.permute(0, 2, -1, 1), [("TRANSPOSE", {"perm": [0, 2, -1, 1]})], range="shared"),
    "transpose": Row(lambda l, x, y, p, ids: x.transpose(-1, 1), [("TRANSPOSE", {"perm": [0, 3, 2, 1]})], range="shared"),
    "slice": Row(lambda l, x, y, p, ids: x[:, 1:7:2], [("STRIDEDSLICE", pieces((0, 1, 0, 0), (2, 7, 8, 8), (1, 2, 1, 1)))], range="shared"),
    "slice from behind": Row(lambda l, x, y, p, ids: x[..., -3:-1], [("STRIDEDSLICE", pieces((0, 0, 0, 5), (2, 8, 8, 7)))], range="shared"),
    "select": Row(lambda l, x, y, p, ids: x.select(-2, -3), [("STRIDEDSLICE", pieces((0, 0, 5, 0), (2, 8, 6, 8), shrink_axis_mask=4))], range="shared"),
    "expand": Row(
        lambda l, x, y, p, ids: x[:, 1:2].expand(-1, 4, -1, -1),
        [("STRIDEDSLICE", pieces((0, 1, 0, 0), (2, 2, 8, 8))), ("CONCAT", {"axis": 1})],
        range="",
    ),
    "squeeze": Row(
        lambda l, x, y, p, ids: x[:, 2:3].squeeze(1),
        [("STRIDEDSLICE", pieces((0, 2, 0, 0), (2, 3, 8, 8))), ("RESHAPE", {"new_shape": [2, 8, 8]})],
        range="",
    ),
    "split": Row(lambda l, x, y, p, ids: x.split([3, 5], 1), [("SPLIT", {"axis": 1, "point": [3, 5]})], range=""),
    "split evenly": Row(lambda l, x, y, p, ids: x.split(4, 2), [("SPLIT", {"axis": 2, "point": [4, 4]})], range=""),
    "chunk": Row(lambda l, x, y, p, ids: x.chunk(2, -1), [("SPLIT", {"axis": -1, "point": [4, 4]})], range=""),
    "pad": Row(
        lambda l, x, y, p, ids: F.pad(x, (1, 2, 0, 3)),
        [("PAD", {"explicit_padding": [0, 0, 0, 1, 0, 0, 3, 2], "padding": "EXPLICIT", "padding_type": "CONSTANT"})],
        says_int8=True,
        range="shared",
    ),
    "embedding": Row(lambda l, x, y, p, ids: l(ids), [("GATHER", {"axis": 0})], lambda: nn.Embedding(10, 6), says_int8=True, range="shared"),
    "index": Row(lambda l, x, y, p, ids: x[:, :, ids], [("GATHER", {"axis": 2})], range=""),
    "topk": Row(lambda l, x, y, p, ids: [*x.topk(3)], [("TopK", {"k_dims": 3})], range=""),
    "cast": Row(lambda l, x, y, p, ids: x.to(torch.int32), [("CAST", {"out_dtype": "INT32"})], quantizes=False),
}

GROUPS = {"arithmetic": ARITHMETIC, "functions": FUNCTIONS, "layers": LAYERS, "moves": MOVES}


class Group(nn.Module):
    """Each row's result is one of the program's."""

    def __init__(self, rows):
        super().__init__()
        self.calls = [row.call for row in rows.values()]
        self.layers = nn.ModuleList(row.layer() for row in rows.values())

    def forward(self, x, y, p, ids):
        return [call(layer, x, y, p, ids) for call, layer in zip(self.calls, self.layers)]


def program_of(rows):
    with seeded():
        model = Group(rows).eval()
        with torch.no_grad():
            for seed, parameter in enumerate(model.parameters()):
                parameter.add_(noise(*parameter.shape, seed=seed) * 0.1)
    return torch.export.export(model, INPUTS)
