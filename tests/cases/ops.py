"""One operator or idiom each: LOWERED is what becomes a `.pte` without a backend, EMITTED what is called there again and again."""

import torch
import torch.nn.functional as F
from torch import nn

from cases import Case, Function, seeded


class SliceCache(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 8, 4))

    def forward(self, x, position):
        self.cache[:, position] = x
        return self.cache * 2


class RollingBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.zeros(1, 6, 3))

    def forward(self, x):
        self.window.copy_(torch.cat([self.window[:, 1:], x], dim=1))
        return self.window.sum(1)


class TensorConstant(nn.Module):
    def forward(self, x):
        return x + torch.tensor([1.0, 2.0, 3.0])


class NoGrad(nn.Module):
    def forward(self, x):
        with torch.no_grad():
            y = x.relu()
        return y + 1


class SliceAssign(nn.Module):
    def forward(self, x):
        y = x.clone()
        y[:, 1:2] = 0.5
        y[:, :1] += 1
        return y + 1


class Shared(nn.Module):
    """One linear layer used twice, and its transposed weight."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x):
        return self.linear(self.linear(x)) @ self.linear.weight.T


class Unpooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.unpool = nn.MaxPool2d(2, return_indices=True), nn.MaxUnpool2d(2)

    def forward(self, x):
        return self.unpool(*self.pool(x))


class Outputs(nn.Module):
    """The layer with its nested results flat."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        output, state = self.layer(x)
        return (output, *state) if isinstance(state, tuple) else (output, state)


def rope(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class Counter(nn.Module):
    """A buffer with an initial value that every call moves on."""

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.tensor([5.0, -1.0]))

    def forward(self, x):
        self.count.add_(x)
        return self.count * 2


def of_operators() -> dict[str, Case]:
    image, row, line = torch.randn(1, 4, 8, 8), torch.randn(3, 6), torch.randn(2, 4, 10)
    volume = torch.randn(2, 2, 5, 7, 6)
    tokens = torch.randn(2, 5, 8)
    heads = [torch.randn(1, 2, 5, 8) for _ in range(3)]
    index = torch.tensor([0, 2, 1])
    f = Function
    table = {
        "conv2d": (nn.Conv2d(4, 6, 3, stride=2, padding=1), image),
        "conv2d_same": (nn.Conv2d(4, 6, 3, padding="same"), image),
        "conv2d_same_even": (nn.Conv2d(4, 6, (2, 4), padding="same"), image),
        "conv2d_depthwise": (nn.Conv2d(4, 8, 3, groups=4, bias=False), image),
        "conv1d": (nn.Conv1d(4, 6, 3, dilation=2), line),
        "conv2d_unbatched": (nn.Conv2d(4, 6, 3), image[0]),
        "conv_transpose2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), image),
        "conv_transpose1d": (nn.ConvTranspose1d(4, 6, 3, stride=2), line),
        "linear": (nn.Linear(6, 5), row),
        "linear_3d": (nn.Linear(8, 5), tokens),
        "linear_no_bias": (nn.Linear(8, 5, bias=False), tokens),
        "linear_shared": (Shared(), row),
        "batch_norm": (nn.BatchNorm2d(4).eval(), image),
        "conv_bn_relu6": (nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.ReLU6()).eval(), image),
        "group_norm": (nn.GroupNorm(2, 4), image),
        "instance_norm": (nn.InstanceNorm2d(4, affine=True), image),
        "instance_norm_batch": (nn.InstanceNorm2d(4, affine=True), torch.randn(3, 4, 5, 5)),
        "layer_norm": (nn.LayerNorm(8), tokens),
        "rms_norm": (nn.RMSNorm(8), tokens),
        "relu": (nn.ReLU(), row),
        "relu_inplace": (f(lambda x: F.relu(x + x, inplace=True)), row),
        "relu6_inplace": (f(lambda x: F.relu6(x * 2, inplace=True)), row),
        "hardtanh": (nn.Hardtanh(-2, 3), row),
        "hardswish": (nn.Hardswish(), row),
        "hardsigmoid": (nn.Hardsigmoid(), row),
        "silu": (nn.SiLU(), row),
        "gelu": (nn.GELU(), row),
        "gelu_tanh": (nn.GELU(approximate="tanh"), row),
        "leaky_relu": (nn.LeakyReLU(0.2), row),
        "elu": (nn.ELU(0.7), row),
        "selu": (nn.SELU(), row),
        "celu": (nn.CELU(0.5), row),
        "prelu": (nn.PReLU(4), image),
        "prelu_one": (nn.PReLU(), row),
        "mish": (nn.Mish(), row),
        "softplus": (nn.Softplus(beta=2), row),
        "log_sigmoid": (nn.LogSigmoid(), row),
        "softshrink": (nn.Softshrink(0.3), row),
        "hardshrink": (nn.Hardshrink(0.3), row),
        "threshold": (nn.Threshold(0.1, 20), row),
        "sigmoid": (nn.Sigmoid(), row),
        "tanh": (nn.Tanh(), row),
        "glu": (nn.GLU(), row),
        "sdpa": (f(F.scaled_dot_product_attention), *heads),
        "sdpa_causal": (f(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)), *heads),
        "sdpa_mask": (f(lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m)), *heads, torch.randn(5, 5)),
        "sdpa_bool_mask": (f(lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m)), *heads,
                           torch.tensor([[True, False] * 2 + [True]] * 4 + [[False] * 5])),
        "mha": (f(nn.MultiheadAttention(8, 2, batch_first=True).eval()), tokens, tokens, tokens),
        "encoder_layer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval(), tokens),
        "adaptive_avg_1": (nn.AdaptiveAvgPool2d(1), image),
        "adaptive_avg_4": (nn.AdaptiveAvgPool2d(4), image),
        "adaptive_avg_3": (nn.AdaptiveAvgPool2d(3), image),
        "adaptive_avg_1d": (nn.AdaptiveAvgPool1d(5), line),
        "adaptive_max_2": (nn.AdaptiveMaxPool2d(2), image),
        "adaptive_max_3": (nn.AdaptiveMaxPool2d((3, 5)), image),
        "adaptive_max_places": (nn.AdaptiveMaxPool2d((3, 4), return_indices=True), image),
        "adaptive_max_1d": (nn.AdaptiveMaxPool1d(4), line),
        "adaptive_max_1d_places": (nn.AdaptiveMaxPool1d(1, return_indices=True), line),
        "adaptive_max_3d": (nn.AdaptiveMaxPool3d((2, 3, 1)), volume),
        "adaptive_max_3d_places": (nn.AdaptiveMaxPool3d((2, 3, 4), return_indices=True), volume),
        "adaptive_avg_3d": (nn.AdaptiveAvgPool3d((2, 3, 2)), volume),
        "max_pool3d": (nn.MaxPool3d((2, 3, 2), stride=2, padding=1, dilation=(1, 1, 2)), volume),
        "max_pool3d_places": (nn.MaxPool3d(2, ceil_mode=True, return_indices=True), volume),
        "avg_pool3d": (nn.AvgPool3d((2, 3, 2), 2, 1, count_include_pad=False), volume),
        "avg_pool3d_divisor": (nn.AvgPool3d(3, (1, 2, 2), (0, 1, 1), divisor_override=5), volume),
        "conv3d": (nn.Conv3d(2, 4, (3, 2, 3), stride=(2, 1, 2), padding=(1, 0, 1), dilation=(1, 2, 1), groups=2), volume),
        "conv3d_same": (nn.Conv3d(2, 3, (2, 3, 4), padding="same", bias=False), volume),
        "avg_pool2d": (nn.AvgPool2d(3, 2, 1), image),
        "avg_pool1d": (nn.AvgPool1d(2), line),
        "max_pool2d": (nn.MaxPool2d(3, 2, 1), image),
        "max_pool2d_ceil": (nn.MaxPool2d(3, 2, ceil_mode=True), image),
        "max_pool1d": (nn.MaxPool1d(2), line),
        "mean_dim": (f(lambda x: x.mean((2, 3))), image),
        "mean_all": (f(lambda x: x.mean()), image),
        "sum_dim": (f(lambda x: x.sum(1, keepdim=True)), row),
        "sum_bool": (f(lambda x: (x > 0).sum(1)), row),
        "var": (f(lambda x: x.var(1)), row),
        "std": (f(lambda x: x.std(1, unbiased=False)), row),
        "norm": (f(lambda x: x.norm(dim=1)), row),
        "normalize": (f(lambda x: F.normalize(x, dim=1)), row),
        "amax_max": (f(lambda x: (x.amax(1), *x.max(1))), row),
        "argmax": (f(lambda x: x.argmax(1)), row),
        "topk": (f(lambda x: tuple(x.topk(2))), row),
        "sort": (f(lambda x: tuple(x.sort(descending=True))), row),
        "cumsum": (f(lambda x: x.cumsum(1)), row),
        "any_all": (f(lambda x: ((x > 0).any(1), (x > -9).all())), row),
        "logsumexp": (f(lambda x: x.logsumexp(1)), row),
        "softmax": (nn.Softmax(-1), row),
        "softmax_safe": (f(lambda x: torch.ops.aten._safe_softmax(x.masked_fill(x[:, :1] > 0, -torch.inf), -1)), row),
        "softmax_double": (f(lambda x: F.softmax(x, 1, dtype=torch.float64)), row),
        "log_softmax": (nn.LogSoftmax(-1), row),
        "flatten": (nn.Flatten(), image),
        "reshape_permuted": (f(lambda x: x.permute(0, 2, 3, 1).reshape(1, 64, 4)), image),
        "expand": (f(lambda x: x[:, :1].expand(3, 6) * x), row),
        "repeat": (f(lambda x: x.repeat(2, 3)), row),
        "repeat_interleave": (f(lambda x: x.repeat_interleave(2, dim=1)), row),
        "transpose_T": (f(lambda x: x.T + x.t()), row),
        "squeeze_unsqueeze": (f(lambda x: x.unsqueeze(1).relu().squeeze()), row),
        "cat": (f(lambda x: torch.cat([x, x * 2], 1)), row),
        "stack": (f(lambda x: (torch.stack([x, x * 2], 1), torch.stack([x, x], -1))), row),
        "split": (f(lambda x: x.split(4, 1)[0] * x.split([2, 4], 1)[1]), row),
        "chunk": (f(lambda x: x.chunk(3, 1)[1] + 0), row),
        "unbind": (f(lambda x: x.unbind(0)[1] * 2), row),
        "slice_full": (f(lambda x: x[:, :] + 1), row),
        "slice_step": (f(lambda x: x[:, ::2]), row),
        "select": (f(lambda x: x[:, -1]), row),
        "index_tensor": (f(lambda x, i: x[:, i]), row, index),
        "index_select": (f(lambda x, i: x.index_select(1, i)), row, index),
        "gather": (f(lambda x, i: x.gather(1, i[:, None])), row, index),
        "embedding": (nn.Embedding(5, 4), index),
        "one_hot": (f(lambda i: F.one_hot(i, 4)), index),
        "matmul": (f(lambda a: a @ a.transpose(-1, -2)), tokens),
        "matmul_4d": (f(lambda q, k: q @ k.transpose(-1, -2)), *heads[:2]),
        "matmul_vector": (f(lambda a, v: a @ v), row, torch.randn(6)),
        "matmul_broadcast": (f(lambda a, b: a @ b), torch.randn(2, 1, 3, 4), torch.randn(5, 4, 2)),
        "addmm": (f(lambda b, x, w: torch.addmm(b, x, w)), torch.randn(5), row, torch.randn(6, 5)),
        "upsample_nearest": (nn.Upsample(scale_factor=2), image),
        "upsample_bilinear": (nn.Upsample(size=(5, 11), mode="bilinear"), image),
        "upsample_bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), image),
        "pad_constant": (f(lambda x: F.pad(x, (1, 2, 0, 1), value=0.5)), image),
        "pad_reflect": (nn.ReflectionPad2d(2), image),
        "pad_replicate": (nn.ReplicationPad2d(2), image),
        "pad_circular": (nn.CircularPad2d(1), image),
        "pixel_shuffle": (nn.PixelShuffle(2), image),
        "pixel_unshuffle": (nn.PixelUnshuffle(2), image),
        "channel_shuffle": (nn.ChannelShuffle(2), image),
        "roll": (f(lambda x: x.roll((1, -2), (0, 1))), row),
        "flip": (f(lambda x: x.flip(1)), row),
        "dropout": (nn.Sequential(nn.Dropout(), nn.ReLU()).eval(), row),
        "clone_returned": (f(lambda x: x.clone()), row),
        "to_half_and_back": (f(lambda x: x.half().float()), row),
        "to_same": (f(lambda x: x.float() + 1), row),
        "type_as": (f(lambda x, i: i.type_as(x)), row, index),
        "channels_last": (f(lambda x: x.to(memory_format=torch.channels_last) + 1), image),
        "arange_add": (f(lambda x: x + torch.arange(6)), row),
        "full_like": (f(lambda x: x + torch.full_like(x, 3) + torch.zeros(6) + x.new_ones(6)), row),
        "tensor_constant": (TensorConstant(), torch.randn(2, 3)),
        "no_grad": (NoGrad(), row),
        "where_scalar": (f(lambda x: torch.where(x > 0, x, -1.0)), row),
        "where_tensors": (f(lambda x: torch.where(x > 0, x * 2, x)), row),
        "masked_fill": (f(lambda x: x.masked_fill(x > 0, float("-inf"))), row),
        "compare": (f(lambda x: ((x > 0) & (x < 1)) | ~(x <= 0.5)), row),
        "scalars": (f(lambda x: (2 - (x + 2) * 0.5) / 3), row),
        "integers": (f(lambda i: (i * 2 + 1, i // 2, i / 2, i % 2, -i)), index),
        "add_alpha": (f(lambda x: torch.add(x, x, alpha=2)), row),
        "pow": (f(lambda x: x.abs().pow(2.5) + x**2 + 2**x), row),
        "unary": (f(lambda x: x.abs().rsqrt() + x.exp() + x.neg().sin() + x.cos() + (x.abs() + 1).log()), row),
        "square_reciprocal": (f(lambda x: x.square() + x.reciprocal()), row),
        "clamp": (f(lambda x: x.clamp(-1, 1) + x.clamp(min=0) + torch.maximum(x, x * 2)), row),
        "floor_divide": (f(lambda x: torch.floor_divide(x, 0.5) + torch.remainder(x, 0.3)), row),
        "tril_triu": (f(lambda x: torch.tril(x) + torch.triu(x, 1)), row),
        "outer_meshgrid": (f(lambda a, b: torch.outer(a, b) + torch.meshgrid(a, b, indexing="ij")[0]), torch.randn(3), torch.randn(4)),
        "unflatten": (nn.Unflatten(1, (2, 3)), row),
        "grid_sample": (f(lambda x, g: F.grid_sample(x, g, align_corners=False)), image, torch.rand(1, 3, 3, 2)),
        "affine_grid": (f(lambda x, t: F.grid_sample(x, F.affine_grid(t, (1, 4, 5, 6), align_corners=False), align_corners=False)), image, torch.randn(1, 2, 3)),
        "affine_grid_corners": (f(lambda t: F.affine_grid(t, (2, 1, 3, 1, 4), align_corners=True)), torch.randn(2, 3, 4)),
        "half_conv": (nn.Conv2d(4, 6, 3).half(), image.half()),
        "cache_write": (SliceCache(), torch.randn(1, 2, 4), torch.tensor([1, 5])),
        "rolling_buffer": (RollingBuffer(), torch.randn(1, 1, 3)),
        "slice_assign": (SliceAssign(), row),
        "rope": (f(rope), torch.randn(1, 2, 5, 8), torch.randn(5, 8), torch.randn(5, 8)),
        "lstm": (Outputs(nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True)), torch.randn(2, 3, 6)),
        "gru": (Outputs(nn.GRU(6, 4, bias=False)), torch.randn(3, 2, 6)),
        "einsum": (f(lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b)), *heads[:2]),
        "einsum_sum": (f(lambda a, b: torch.einsum("ij,kj->i", a, b)), row, torch.randn(4, 6)),
        "einsum_ellipsis": (f(lambda a, b: torch.einsum("...qd,...kd->...qk", a, b)), *heads[:2]),
        "einsum_ellipsis_broadcast": (f(lambda a, b: torch.einsum("...d,...d", a, b)), heads[0], torch.randn(2, 1, 8)),
        "einsum_three": (f(lambda a, b, c: torch.einsum("bhqd,bhkd,bhkv->bhqv", a, b, c)), *heads),
        "einsum_bilinear": (f(lambda a, w, b: torch.einsum("bi,oij,bj->bo", a, w, b)), row, torch.randn(5, 6, 4), torch.randn(3, 4)),
        "sort_stable": (f(lambda x: tuple(x.sort(dim=0, stable=True, descending=True))), torch.tensor([[2.0, 1], [3, 1], [2, 0], [3, 1]])),
        "argsort_stable": (f(lambda x: torch.argsort(x, stable=True)), torch.tensor([[3, 1, 3, 2, 1]])),
        "median_kthvalue": (f(lambda x: (*x.median(1), *x.kthvalue(2, 0, keepdim=True))), row),
        "median_of_all": (f(lambda x: (x.median(), x[:3].median())), row),
        "round_decimals": (f(lambda x: (torch.round(x, decimals=2), torch.round(x * 1000, decimals=-2), torch.round(x, decimals=0))), row),
        "lstm_projected": (Outputs(nn.LSTM(6, 4, proj_size=3)), torch.randn(3, 2, 6)),
        "lstm_cell": (f(nn.LSTMCell(6, 4)), row),
        "gru_cell": (f(nn.GRUCell(6, 4)), row),
        "rnn_cells": (f(lambda x, a=nn.RNNCell(6, 4), b=nn.RNNCell(6, 4, nonlinearity="relu"): (a(x), b(x))), row),
        "im2col": (nn.Unfold(3, padding=1, dilation=2), image),
        "col2im": (nn.Fold((8, 8), 2, stride=2), torch.randn(1, 16, 16)),
        "col2im_overlapping": (nn.Fold((8, 7), 3, padding=1, stride=2), torch.randn(2, 2 * 9, 16)),
        "index_copy": (f(lambda x, i, s: x.index_copy(1, i, s)), row, index, torch.randn(3, 3)),
        "index_add": (f(lambda x, i, s: x.index_add(0, i, s, alpha=2)), row, torch.tensor([0, 2, 0]), row),
        "index_fill": (f(lambda x, i: x.index_fill(1, i, 2.0)), row, index),
        "take_along_dim": (f(lambda x, i: torch.take_along_dim(x, i[:, None], 1)), row, index),
        "where_one": (f(lambda x: torch.where(x > 0)), row),
        "nonzero": (f(lambda x: x[x > 0].sum() + x.nonzero().sum()), row),
        "nearest_exact": (nn.Upsample(size=(5, 13), mode="nearest-exact"), image),
        "bilinear_antialias": (f(lambda x: F.interpolate(x, size=(5, 11), mode="bilinear", antialias=True)), image),
        "bicubic_antialias": (f(lambda x: F.interpolate(x, scale_factor=(0.5, 1.5), mode="bicubic", antialias=True)), image),
        "weight_norm": (torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3)), image),
        "spectral_norm": (torch.nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4)).eval(), row),
        "distances": (f(lambda x, y: (F.cosine_similarity(x, y), F.pairwise_distance(x, y), torch.cdist(x, y))), row, torch.randn(3, 6)),
        "bilinear_layer": (nn.Bilinear(6, 5, 4), row, torch.randn(3, 5)),
        "tensordot": (f(lambda a, b: torch.tensordot(a, b, dims=([0, 2], [1, 0]))), torch.randn(3, 2, 4), torch.randn(4, 3, 5)),
        "stacks": (f(lambda x, y: (torch.vstack([x, x]), torch.hstack([x, x]), torch.dstack([x, x]), torch.hstack([y, y]))), row, torch.randn(2)),
        "var_mean": (f(lambda x: (*torch.var_mean(x, 1), *torch.std_mean(x, 0, correction=0))), row),
        "logaddexp_hypot": (f(lambda x: torch.logaddexp(x, x * 2) + torch.hypot(x, x + 1)), row),
        "bits": (f(lambda i: (i & 1, i | 2, i ^ 3, ~i, i << 1, i >> 1)), index),
        "negative_remainder": (f(lambda i: (i % 3, i % -3, torch.fmod(i, 3), i % i.abs())), torch.tensor([-20, 7, -3])),
        "negative_padding": (f(lambda x: F.pad(x, (-1, 2, 3, -2), value=0.5)), image),
        "constant_table": (f(lambda x, t=torch.randn(200, 8), i=torch.arange(4000) % 200: x + (t * 2)[i].sum(0)), tokens),
        "input_written": (f(lambda x: x.add_(1) * 2), row),
        "power_written": (f(lambda x: (x * 2).pow_(2).add_(x)), row),
        "angles_and_signs": (f(lambda x, y: (torch.deg2rad(x), torch.rad2deg(x), torch.signbit(x), torch.copysign(x, y), torch.isposinf(y), torch.sinc(x))),
                             torch.tensor([0.0, -2.5, 3.0]), torch.tensor([-0.0, -1.0, float("inf")])),
        "nan_loses": (f(lambda x, y: (torch.fmax(x, y), torch.fmin(x, y), x.nansum(), x.nanmean(0), torch.isclose(x, y, equal_nan=True))),
                      torch.tensor([float("nan"), 1.0, 2.0, float("nan")]), torch.tensor([3.0, 1.0 + 1e-9, float("nan"), float("nan")])),
        "powers": (f(lambda x, y: (torch.float_power(x, 2.5), torch.ldexp(x, y), torch.xlogy(x, y), torch.logaddexp2(x, y), torch.heaviside(x - 1, y))),
                   torch.tensor([0.0, 1.0, 2.5]), torch.tensor([3.0, 0.5, 4.0])),
        "among_boundaries": (f(lambda x, e: (torch.bucketize(x, e), torch.searchsorted(e, x, right=True), torch.isin(x, e))),
                             torch.tensor([[-3.0, 0.0], [0.5, 7.0]]), torch.tensor([-1.0, 0.0, 0.5, 2.0])),
        "running": (f(lambda x: (x.cumprod(1), x.cummax(0)[0], x.cummin(1)[0], x.logcumsumexp(1))), row),
        "running_integers": (f(lambda i: i.cumprod(0)), torch.tensor([3, -1, 2, 5, 7])),
        "quantile": (f(lambda x: (x.quantile(0.3, dim=1), x.quantile(0.5), *torch.aminmax(x, dim=0, keepdim=True))), row),
        "median_of_nan": (f(lambda x: tuple(x.median(1))), torch.tensor([[1.0, float("nan"), 0.0, float("nan")], [4.0, 3.0, 2.0, 1.0]])),
        "log_softmax_double": (f(lambda x: F.log_softmax(x, 1, dtype=torch.float64)), row),
        "products": (f(lambda m, v, b: (torch.addmv(v, m, v, beta=2), torch.addr(m, v, v, alpha=0.5), torch.addbmm(m, b, b), torch.inner(m, m),
                                        torch.linalg.multi_dot([m, m, v]), torch.matrix_power(m, 5), torch.kron(m, v[:2]))),
                     torch.randn(4, 4), torch.randn(4), torch.randn(3, 4, 4)),
        "cross_product": (f(lambda x, y: (torch.linalg.cross(x, y, dim=1), torch.pdist(x[0]), torch.dist(x, y, p=3))), torch.randn(2, 3, 5), torch.randn(2, 3, 5)),
        "diagonals": (f(lambda m, v: (m.diag(1), v.diag(-2), torch.diag_embed(m, offset=1), m.trace(), torch.block_diag(m, v))), torch.randn(3, 3), torch.randn(4)),
        "turned": (f(lambda x: (x.rot90(), x.rot90(-1, (1, 2)), torch.fliplr(x), x.diff(dim=2), x.take(torch.tensor([[3, 0], [7, 7]])))), torch.randn(2, 3, 4)),
        "split_and_joined": (f(lambda x, y: (*torch.hsplit(x, 2), *torch.vsplit(x, [1]), torch.column_stack([x, x[:, 0]]), torch.cartesian_prod(y, y[:2]))),
                             row, torch.randn(3)),
        "scattered_sums": (f(lambda x, i, s: (x.scatter_reduce(1, i, s, "mean"), x.scatter_reduce(1, i, s, "sum", include_self=False))),
                           row, torch.tensor([[0, 0, 5], [1, 2, 2], [3, 4, 3]]), torch.randn(3, 3)),
        "unpooled": (Unpooled(), image),
        "volume_trilinear": (nn.Upsample(size=(3, 9, 6), mode="trilinear"), volume),
        "volume_nearest": (nn.Upsample(scale_factor=(2, 1, 1.5)), volume),
        "conv_transpose3d": (nn.ConvTranspose3d(2, 4, 3, stride=2, padding=1, output_padding=1), volume),
        "conv_transpose3d_groups": (nn.ConvTranspose3d(2, 4, (3, 1, 2), stride=(1, 2, 3), dilation=(2, 1, 1), groups=2, bias=False), volume),
        "bag_mean": (nn.EmbeddingBag(10, 3), torch.tensor([[1, 2, 4], [5, 4, 9]])),
        "bag_max_padded": (nn.EmbeddingBag(10, 3, mode="max", padding_idx=2), torch.tensor([[1, 2, 4], [2, 2, 2]])),
        "bag_offsets": (nn.EmbeddingBag(10, 3, mode="mean", padding_idx=4), torch.tensor([1, 2, 4, 5, 4, 9]), torch.tensor([0, 3, 3, 4])),
        "bag_offsets_max": (nn.EmbeddingBag(10, 3, mode="max", include_last_offset=True), torch.tensor([1, 2, 4, 5, 4, 9]), torch.tensor([0, 2, 2, 6])),
        "bag_last_offset_mean": (nn.EmbeddingBag(10, 3, mode="mean", include_last_offset=True), torch.tensor([1, 2, 4, 5, 4, 9]), torch.tensor([0, 2, 4])),
        "bag_last_offset_max": (nn.EmbeddingBag(10, 3, mode="max", include_last_offset=True), torch.tensor([1, 2, 4, 5, 4, 9]), torch.tensor([0, 2, 4])),
        "bag_last_offset_sum": (nn.EmbeddingBag(10, 3, mode="sum", include_last_offset=True), torch.tensor([1, 2, 4, 5, 4, 9]), torch.tensor([0, 2, 4])),
        "bag_weighted": (f(lambda i, w, e=nn.EmbeddingBag(10, 3, mode="sum"): e(i, per_sample_weights=w)), torch.tensor([[1, 2, 4], [5, 4, 9]]), torch.rand(2, 3)),
        "counted": (f(lambda x: (x.histc(4, -2.0, 2.0), x.round().histc(3, 0, 2))), torch.tensor([[-2.0, 2.0, 0.3], [1.999, -7.0, 1.0]])),
    }
    return {name: Case(module.eval(), [tuple(inputs)]) for name, (module, *inputs) in table.items()}


def of_dynamic_batch() -> dict[str, Case]:
    """The first call is of another size than the second."""
    batch = torch.export.Dim("batch", min=1, max=16)
    cnn = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
    flat = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 4))
    rows = {
        "dynamic_cnn": (cnn, (3, 8, 8)),
        "dynamic_encoder": (encoder, (5, 8)),
        "dynamic_add": (Function(lambda x: x.reshape(x.shape[0], -1) + 1), (3, 4)),
        "dynamic_linear": (nn.Linear(6, 5), (6,)),
        "dynamic_flatten": (flat, (2, 5, 5)),
        "dynamic_reshape": (Function(lambda x: x.reshape(x.shape[0] * 2, 3) + x.shape[0]), (6,)),
        "dynamic_sort": (Function(lambda x: tuple(x.reshape(-1).sort(descending=True))), (6,)),
        "dynamic_histogram": (Function(lambda x: x.histc(5, -1, 1).cumsum(0, dtype=torch.int32)), (6,)),
    }
    # `Function.forward(*inputs)` takes its shapes as one tuple.
    shapes_of = lambda module: (({0: batch},),) if isinstance(module, Function) else ({0: batch},)  # noqa: E731
    return {
        name: Case(module.eval(), [(torch.randn(2, *size),), (torch.randn(5, *size),)], shapes=shapes_of(module))
        for name, (module, size) in rows.items()
    }


def of_forms() -> dict[str, Case]:
    """What is about the call more than about its operators: containers, numbers, types, inputs given back, state."""
    image, rows, index = torch.randn(1, 3, 8, 8), torch.randn(4, 6), torch.tensor([2, 0, 1])
    f = Function
    table = {
        "add_mul": (f(lambda x: (x + torch.arange(6.0)) * x), rows),
        "conv_batch_norm": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), image),
        "index_rows": (f(lambda x, i: x[i]), rows, index),
        "matmul_2d": (f(torch.matmul), rows, torch.randn(6, 3)),
        "casts": (f(lambda i: i.to(torch.float32) / 2), index),
        "round_floor": (f(lambda x: (x * 3).round() + x.floor()), rows),
        "erf_sqrt": (f(lambda x: torch.erf(x) + x.abs().sqrt()), rows),
        "log1p_exp": (f(lambda x: torch.log1p(x.exp())), rows),
        "channels_last_input": (nn.Conv2d(3, 4, 3), image.to(memory_format=torch.channels_last)),
        "half": (f(lambda x: (x @ x.t()).relu()), torch.randn(3, 3).half()),
        "doubles": (f(lambda x: x * 2 + x.mean()), torch.randn(3, 3).double()),
        "bools": (f(lambda m: (~m, m.any(1))), torch.randn(3, 3) > 0),
        "containers": (f(lambda x, pair: {"sum": x + pair[0], "pair": (x * pair[1], None, 3)}), rows, (torch.randn(4, 6), torch.randn(6))),
        "returns_input": (f(lambda x: (x, x + 1)), rows),
        "returns_view": (f(lambda x: (x.view(6, 4), (x * 2).view(24))), rows),
        "scalar_input": (f(lambda x, n: x * n), rows, 3),
        "counter": (Counter(), torch.randn(2)),
    }
    return {name: Case(module.eval(), [tuple(inputs)]) for name, (module, *inputs) in table.items()}


with seeded():
    LOWERED = of_operators()
with seeded():
    DYNAMIC = of_dynamic_batch()
with seeded():
    EMITTED = of_forms()
REPEATED = """
    conv2d conv2d_depthwise conv1d conv_transpose2d linear linear_3d linear_no_bias layer_norm group_norm instance_norm embedding max_pool2d
    avg_pool2d adaptive_avg_1 adaptive_avg_4 relu relu6_inplace hardswish hardsigmoid silu gelu gelu_tanh elu leaky_relu prelu mish softplus
    sigmoid tanh softmax log_softmax logsumexp mean_dim sum_dim var std amax_max argmax topk cumsum cat stack split chunk unbind slice_step
    select index_tensor index_select gather flip roll pad_constant pad_reflect reshape_permuted transpose_T expand repeat pixel_shuffle
    upsample_nearest upsample_bilinear grid_sample matmul_4d sdpa sdpa_causal where_tensors masked_fill compare clamp scalars integers pow
    unary normalize tril_triu arange_add full_like dropout cache_write encoder_layer
"""
EMITTED |= {name: LOWERED[name] for name in REPEATED.split()}
