"""Small modules, one or a few ops each, with the inputs they are lowered for: rows of the emission test."""

import torch
from torch import nn
from torch.nn import functional as F


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Counter(nn.Module):
    """A buffer with an initial value that every call moves on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.tensor([5.0, -1.0]))

    def forward(self, x):
        self.count.add_(x)
        return self.count * 2


class Cache(nn.Module):
    """Rows of a cache are replaced at a position that is known at run time only."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 4, 3))

    def forward(self, position, value):
        self.cache[:, position] = value
        return self.cache + 1


def block(*layers):
    return nn.Sequential(*layers)


def nested(x, pair):
    return {"sum": x + pair[0], "pair": (x * pair[1], None, 3)}


def generator(seed=0):
    torch.manual_seed(seed)
    return torch.randn


def modules():
    """name -> (module, args); args of calls are drawn anew by the test, with the same shapes and kinds."""
    r = generator()
    image, rows = r(1, 3, 8, 8), r(4, 6)
    index = torch.tensor([2, 0, 1])
    rows_of = lambda f: (Call(f), (rows,))  # noqa: E731
    table = {
        "add_mul": (Call(lambda x: (x + torch.arange(6.0)) * x), (rows,)),
        "conv2d": (nn.Conv2d(3, 4, 3, stride=2, padding=1), (image,)),
        "conv2d_grouped": (nn.Conv2d(3, 6, 3, groups=3, bias=False), (image,)),
        "conv1d": (nn.Conv1d(3, 5, 3, dilation=2), (r(2, 3, 12),)),
        "conv_transpose2d": (nn.ConvTranspose2d(3, 4, 3, stride=2, output_padding=1), (image,)),
        "batch_norm": (block(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval(), (image,)),
        "linear": (nn.Linear(6, 5), (rows,)),
        "linear_3d": (nn.Linear(6, 5, bias=False), (r(2, 3, 6),)),
        "layer_norm": (nn.LayerNorm(6), (rows,)),
        "group_norm": (nn.GroupNorm(3, 3), (image,)),
        "instance_norm": (nn.InstanceNorm2d(3), (image,)),
        "embedding": (nn.Embedding(5, 4), (torch.tensor([[1, 4], [0, 2]]),)),
        "max_pool": (nn.MaxPool2d(2), (image,)),
        "avg_pool": (nn.AvgPool2d(3, stride=2, padding=1), (image,)),
        "adaptive_pool_1": (nn.AdaptiveAvgPool2d(1), (image,)),
        "adaptive_pool_2": (nn.AdaptiveAvgPool2d(2), (image,)),
        "relu": (nn.ReLU(), (rows,)),
        "relu6": (nn.ReLU6(inplace=True), (rows,)),
        "hardswish": (nn.Hardswish(), (rows,)),
        "hardsigmoid": (nn.Hardsigmoid(), (rows,)),
        "silu": (nn.SiLU(), (rows,)),
        "gelu": (nn.GELU(), (rows,)),
        "gelu_tanh": (nn.GELU(approximate="tanh"), (rows,)),
        "elu": (nn.ELU(), (rows,)),
        "leaky_relu": (nn.LeakyReLU(0.2), (rows,)),
        "prelu": (nn.PReLU(3), (image,)),
        "mish": (nn.Mish(), (rows,)),
        "softplus": (nn.Softplus(), (rows,)),
        "sigmoid_tanh": rows_of(lambda x: torch.sigmoid(x) - torch.tanh(x)),
        "softmax": (nn.Softmax(-1), (rows,)),
        "log_softmax": (nn.LogSoftmax(-1), (rows,)),
        "logsumexp": rows_of(lambda x: torch.logsumexp(x, 1)),
        "mean_dims": (Call(lambda x: x.mean((2, 3))), (image,)),
        "sum_keepdim": rows_of(lambda x: x.sum(1, keepdim=True)),
        "var_std": rows_of(lambda x: x.var(1) + x.std(1)),
        "amax_argmax": rows_of(lambda x: (x.amax(1), x.argmax(1))),
        "max_dim": rows_of(lambda x: tuple(x.max(1))),
        "topk": rows_of(lambda x: tuple(torch.topk(x, 2))),
        "cumsum": rows_of(lambda x: x.cumsum(1)),
        "cat": rows_of(lambda x: torch.cat([x, x * 2], 1)),
        "stack": rows_of(lambda x: torch.stack([x, x + 1], 1)),
        "split": rows_of(lambda x: torch.split(x, [2, 4], 1)),
        "chunk": rows_of(lambda x: [c * 2 for c in x.chunk(2, 1)]),
        "unbind": rows_of(lambda x: x.unbind(0)),
        "slice_select": rows_of(lambda x: x[1:, ::2] + x[0, 1]),
        "index": (Call(lambda x, i: x[i]), (rows, index)),
        "index_columns": (Call(lambda x, i: x[:, i]), (rows, index)),
        "index_select": (Call(lambda x, i: torch.index_select(x, 0, i)), (rows, index)),
        "gather": (Call(lambda x, i: torch.gather(x, 1, i)), (rows, torch.tensor([[0], [3], [5], [1]]))),
        "flip_roll": rows_of(lambda x: x.flip(0) + x.roll(1, 1)),
        "pad_constant": (Call(lambda x: F.pad(x, (1, 2, 0, 1), value=0.5)), (image,)),
        "pad_reflect": (Call(lambda x: F.pad(x, (1, 1, 2, 2), mode="reflect")), (image,)),
        "permute_reshape": (Call(lambda x: x.permute(0, 2, 3, 1).reshape(8, 24)), (image,)),
        "transpose_flatten": rows_of(lambda x: x.t().flatten()),
        "unsqueeze_expand": rows_of(lambda x: x.unsqueeze(1).expand(4, 3, 6)),
        "repeat": rows_of(lambda x: x.repeat(2, 1)),
        "pixel_shuffle": (nn.PixelShuffle(2), (r(1, 8, 3, 3),)),
        "upsample_nearest": (nn.Upsample(scale_factor=2), (image,)),
        "upsample_bilinear": (nn.Upsample(size=(11, 5), mode="bilinear"), (image,)),
        "grid_sample": (Call(lambda x, g: F.grid_sample(x, g, align_corners=False)), (image, r(1, 4, 4, 2))),
        "matmul_2d": (Call(torch.matmul), (rows, r(6, 3))),
        "matmul_4d": (Call(torch.matmul), (r(1, 2, 4, 5), r(1, 2, 5, 3))),
        "attention": (Call(F.scaled_dot_product_attention), (r(1, 2, 4, 8), r(1, 2, 4, 8), r(1, 2, 4, 8))),
        "attention_causal": (
            Call(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
            (r(1, 2, 4, 8), r(1, 2, 4, 8), r(1, 2, 4, 8)),
        ),
        "where_compare": rows_of(lambda x: torch.where(x > 0.5, x, torch.zeros_like(x) - 1)),
        "masked_fill": rows_of(lambda x: x.masked_fill(x.abs() < 0.3, 7.0)),
        "logic": rows_of(lambda x: (~((x > 0) & (x < 1)), (x >= 0) | (x == 1))),
        "clamp_minimum": rows_of(lambda x: torch.minimum(x.clamp(min=-0.5), torch.ones(6))),
        "scalars": rows_of(lambda x: (2 - x) / 3 + x * 2 + x % 2),
        "integers": (Call(lambda i: (i + 2, i * i, i // 2)), (index,)),
        "casts": (Call(lambda i: i.to(torch.float32) / 2), (index,)),
        "pow_rsqrt": rows_of(lambda x: (x.pow(2) + 1).rsqrt()),
        "exp_log": rows_of(lambda x: torch.log1p(x.exp()) + torch.sin(x) * torch.cos(x)),
        "round_floor": rows_of(lambda x: (x * 3).round() + x.floor()),
        "erf_sqrt": rows_of(lambda x: torch.erf(x) + x.abs().sqrt()),
        "normalize": rows_of(lambda x: F.normalize(x, dim=1)),
        "triu": rows_of(lambda x: x.triu(1) + x.tril(-1)),
        "arange_full": rows_of(lambda x: x + torch.arange(6) + torch.full((4, 6), 2.0)),
        "dropout_eval": (nn.Dropout().eval(), (rows,)),
        "channels_last_input": (nn.Conv2d(3, 4, 3), (image.to(memory_format=torch.channels_last),)),
        "half": (Call(lambda x: (x @ x.t()).relu()), (r(3, 3).half(),)),
        "doubles": (Call(lambda x: x * 2 + x.mean()), (r(3, 3).double(),)),
        "bools": (Call(lambda m: (~m, m.any(1))), (r(3, 3) > 0,)),
        "containers": (Call(nested), (rows, (r(4, 6), r(6)))),
        "returns_input": rows_of(lambda x: (x, x + 1)),
        "returns_view": rows_of(lambda x: (x.view(6, 4), (x * 2).view(24))),
        "scalar_input": (Call(lambda x, n: x * n), (rows, 3)),
        "counter": (Counter(), (r(2),)),
        "cache": (Cache(), (torch.tensor([2]), r(1, 1, 3))),
        "encoder_layer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), (r(1, 5, 8),)),
    }
    return table


def dynamic_modules():
    """name -> (module, args, dynamic_shapes, args of other sizes)."""
    r = generator()
    batch = torch.export.Dim("batch", min=1, max=6)
    return {
        "dynamic_linear": (nn.Linear(6, 5), (r(3, 6),), ({0: batch},), (r(5, 6),)),
        "dynamic_flatten": (
            block(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4)),
            (r(3, 2, 5, 5),),
            ({0: batch},),
            (r(1, 2, 5, 5),),
        ),
        "dynamic_reshape": (
            Call(lambda x: x.reshape(x.shape[0] * 2, 3) + x.shape[0]),
            (r(3, 6),),
            (({0: batch},),),
            (r(6, 6),),
        ),
    }
