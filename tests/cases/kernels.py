"""One operator each, or a few that share a kernel: COMPUTED is what the interpreter computes."""

import torch
import torch.nn.functional as F
from torch import nn

from cases import Case, Function, noise, seeded

COMPUTED = {}


class WithStates(nn.Module):
    """A recurrent layer with its initial states as inputs."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, *states):
        return self.layer(x, states)


class Self(nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, a):
        return self.attention(a, a, a, need_weights=False)[0]


def add(name, module, *inputs):
    assert name not in COMPUTED, name
    COMPUTED[name] = Case(module.eval(), [inputs])


def op(name, function, *inputs):
    add(name, Function(function), *inputs)


def module(name, make, *inputs):
    with seeded():
        layers = make()
        for part in layers.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
                part.running_mean.data.uniform_(-0.5, 0.5)
                part.running_var.data.uniform_(0.5, 1.5)
            if getattr(part, "weight", None) is not None and isinstance(part, (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)):
                part.weight.data.uniform_(0.5, 1.5)
                part.bias.data.uniform_(-0.3, 0.3)
    add(name, layers, *inputs)


image = noise(2, 6, 13, 11)
x = noise(2, 6, 7)

# ---- convolution and matrix products
module("conv2d", lambda: nn.Conv2d(6, 8, 3, stride=2, padding=1), image)
module("conv2d_dilated", lambda: nn.Conv2d(6, 8, 3, dilation=2, bias=False), image)
module("conv2d_same", lambda: nn.Conv2d(6, 8, 4, padding="same"), image)
module("conv2d_valid", lambda: nn.Conv2d(6, 8, (3, 2), padding="valid"), image)
module("conv2d_grouped", lambda: nn.Conv2d(6, 12, 3, groups=3), image)
module("conv2d_depthwise", lambda: nn.Conv2d(6, 6, 5, padding=2, groups=6), image)
module("conv2d_multiplier", lambda: nn.Conv2d(6, 12, 3, groups=6), image)
module("conv2d_unbatched", lambda: nn.Conv2d(6, 4, 3), image[0])
module("conv2d_large", lambda: nn.Conv2d(32, 64, 3, padding=1), noise(1, 32, 28, 28))
module("conv1d", lambda: nn.Conv1d(6, 8, 3, padding=1), x)
module("conv1d_same", lambda: nn.Conv1d(6, 8, 2, padding="same"), x)
module("conv3d", lambda: nn.Conv3d(3, 4, (2, 3, 2), stride=(1, 2, 1)), noise(1, 3, 5, 7, 6))
module("conv_transpose2d", lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1), image)
module("conv_transpose2d_grouped", lambda: nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2), image)
module("conv_transpose1d", lambda: nn.ConvTranspose1d(6, 4, 4, stride=3), x)
module("conv_transpose3d", lambda: nn.ConvTranspose3d(3, 4, 2, stride=2), noise(1, 3, 4, 3, 5))
module("conv_bn_relu", lambda: nn.Sequential(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)), image)
module("conv_bn_relu6", lambda: nn.Sequential(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.Conv2d(8, 4, 1)), image)
module("linear", lambda: nn.Linear(7, 5), x)
module("linear_2d", lambda: nn.Linear(6, 5), noise(3, 6))
module("linear_1d", lambda: nn.Linear(7, 5, bias=False), noise(7))
module("linear_relu", lambda: nn.Sequential(nn.Linear(7, 5), nn.ReLU()), x)
module("linear_rows", lambda: nn.Linear(16, 8), noise(700, 16))
op("matmul_4d", torch.matmul, noise(2, 3, 4, 5), noise(2, 3, 5, 6, seed=1))
op("matmul_broadcast", torch.matmul, noise(2, 1, 4, 5), noise(3, 5, 6, seed=1))
op("matmul_vector", torch.matmul, noise(4, 5), noise(5, seed=1))
op("matmul_dot", torch.matmul, noise(5), noise(5, seed=1))
op("matmul_transposed", lambda a, b: a @ b.transpose(-1, -2), noise(3, 4, 5), noise(3, 6, 5, seed=1))
op("mm", torch.mm, noise(4, 5), noise(5, 6, seed=1))
op("bmm", torch.bmm, noise(3, 4, 5), noise(3, 5, 6, seed=1))
op("addmm", lambda a, b, c: torch.addmm(a, b, c, beta=0.5, alpha=2), noise(6), noise(4, 5), noise(5, 6, seed=1))
op("baddbmm", torch.baddbmm, noise(3, 4, 6), noise(3, 4, 5), noise(3, 5, 6, seed=1))
op("matmul_int", torch.matmul, torch.arange(12).reshape(3, 4), torch.arange(8).reshape(4, 2))
op("einsum", lambda a, b: torch.einsum("bij,bjk->bki", a, b), noise(2, 3, 4), noise(2, 4, 5, seed=1))
op("einsum_outer", lambda a, b: torch.einsum("i,j->ij", a, b), noise(3), noise(4, seed=1))
op("einsum_sum", lambda a, b: torch.einsum("nhd,mhd->hnm", a, b), noise(3, 2, 5), noise(4, 2, 5, seed=1))
op("outer", torch.outer, noise(3), noise(4, seed=1))

# ---- normalization
module("batch_norm", lambda: nn.BatchNorm2d(6), image)
module("batch_norm_1d", lambda: nn.BatchNorm1d(6), noise(4, 6))
module("batch_norm_plain", lambda: nn.BatchNorm2d(6, affine=False), image)
module("layer_norm", lambda: nn.LayerNorm(7), x)
module("layer_norm_2d", lambda: nn.LayerNorm((6, 7)), x)
module("layer_norm_plain", lambda: nn.LayerNorm(7, elementwise_affine=False), x)
module("group_norm", lambda: nn.GroupNorm(3, 6), image)
module("instance_norm", lambda: nn.InstanceNorm2d(6, affine=True), image)
module("rms_norm", lambda: nn.RMSNorm(7), x)
op("normalize", lambda a: F.normalize(a, dim=1), x)

# ---- activations and other functions of one tensor
for name in ("relu relu6 hardtanh hardswish hardsigmoid silu gelu leaky_relu elu selu celu mish softplus sigmoid tanh logsigmoid "
             "hardshrink softshrink softsign tanhshrink").split():
    op(name, getattr(F, name), noise(3, 50, scale=3))
op("gelu_tanh", lambda a: F.gelu(a, approximate="tanh"), noise(3, 50, scale=3))
op("glu", F.glu, noise(3, 8))
op("threshold", lambda a: F.threshold(a, 0.1, 20.0), x)
module("prelu", lambda: nn.PReLU(6, init=0.2), image)
module("prelu_one", lambda: nn.PReLU(), x)
for name in "abs neg exp sin cos tan atan erf square floor ceil round trunc sign expm1 sinh cosh frac exp2".split():
    op(name, getattr(torch, name), noise(3, 50, scale=2))
for name in "log sqrt rsqrt reciprocal log1p log2 log10".split():
    op(name, getattr(torch, name), noise(3, 50).abs() + 0.1)
for name in "asin acos atanh".split():
    op(name, getattr(torch, name), noise(3, 50).clamp(-2.5, 2.5) / 3)
op("clamp", lambda a: a.clamp(-0.5, 1), x)
op("clamp_min", lambda a: a.clamp(min=0.2), x)
op("clamp_int", lambda a: a.clamp(max=2.5), torch.arange(6))
op("clamp_tensor", lambda a: torch.clamp(a, a * 0.5 - 1, a * 0.1 + 0.5), x)
op("nan_to_num", lambda a: torch.nan_to_num(a / (a - a)), x)
op("powers", lambda a: (a**2, a**3, a.abs() ** 0.5, a.abs() ** -0.5, a**-1, a.abs() ** 2.5, 2**a), x)
op("pow_tensor", lambda a, b: a.abs() ** b, x, noise(7, seed=2))
op("isnan", lambda a: (torch.isnan(a / 0), torch.isinf(a / 0), torch.isfinite(a)), torch.tensor([-1.0, 0.0, 1.0]))

# ---- arithmetic, promotion, comparison
ints, bools = torch.arange(-6, 6).reshape(3, 4), torch.tensor([True, False, True, True])
op("add", lambda a, b: a + b, noise(3, 4), noise(4, seed=1))
op("add_alpha", lambda a, b: torch.add(a, b, alpha=2.5), noise(3, 4), noise(3, 1, seed=1))
op("arithmetic_numbers", lambda a: (a + 1, 2 - a, a * 0.5, a / 3, 1 / a, -a), noise(3, 4))
op("arithmetic_ints", lambda a: (a + 1, a * 2, a / 4, a // 4, a % 4, a - 1.5, a.float()), ints)
op("promotion", lambda a, b: (a + b, a * b, a + b.sum(), a.to(torch.int32) + 7, a.to(torch.uint8) * 2), ints, noise(4))
op("bool_arithmetic", lambda a: (a + a, a * 2, a.sum(), a & ~a, a | a, a ^ True), bools)
op("floor_divide", lambda a, b: (torch.floor_divide(a, b), torch.div(a, b, rounding_mode="trunc"), torch.remainder(a, b), torch.fmod(a, b)),
   noise(3, 4, scale=4), noise(4, seed=1))
op("maximum", lambda a, b: (torch.maximum(a, b), torch.minimum(a, b), torch.max(a, b)), noise(3, 4), noise(4, seed=1))
op("compare", lambda a, b: (a > b, a >= 0.5, a < b, a <= b, a == a, a != b), noise(3, 4), noise(4, seed=1))
op("logical", lambda a, b: (torch.logical_and(a > 0, b > 0), torch.logical_or(a > 0, b > 0), torch.logical_xor(a > 0, b > 0), torch.logical_not(a > 0)),
   noise(3, 4), noise(4, seed=1))
op("bitwise", lambda a: (a & 5, a | 3, a ^ 1, ~a, a << 2, a >> 1), ints)
op("where", lambda a, b: (torch.where(a > 0, a, b), torch.where(a > 0, a, 0.5), torch.where(a > 0, 1, 0)), noise(3, 4), noise(4, seed=1))
op("masked_fill", lambda a: a.masked_fill(a > 0, -9.0), noise(3, 4))
op("addcmul", lambda a, b, c: (torch.addcmul(a, b, c, value=0.3), torch.addcdiv(a, b, c.abs() + 1), torch.lerp(a, b, 0.3)), noise(3, 4), noise(3, 4, seed=1), noise(3, 4, seed=2))
op("atan2", torch.atan2, noise(3, 4), noise(3, 4, seed=1))
op("half", lambda a: (a.half() + 1).float() * a.bfloat16(), noise(3, 4))

# ---- reductions
for name in "mean sum amax amin".split():
    op(name + "_dim", lambda a, f=getattr(torch, name): (f(a, dim=1), f(a, dim=(0, 2), keepdim=True)), x)
op("mean_image", lambda a: F.conv2d(a, torch.ones(4, 6, 1, 1)).mean((2, 3)), image)
op("reduce_all", lambda a: (a.mean(), a.sum(), a.max(), a.min(), a.std(), a.var()), x)
op("var", lambda a: (a.var(1), a.std((0, 2), unbiased=False), torch.var_mean(a, 1)), x)
op("max_dim", lambda a: (*a.max(1), *a.min(-1), a.argmax(1), a.argmin(), a.argmax(0, keepdim=True)), x)
op("any_all", lambda a: ((a > 1).any(), (a > 1).any(1), (a > -9).all(), (a > 0).all(2)), x)
op("prod", lambda a: (a.prod(1), a.long().sum(1)), x)
op("norms", lambda a: (a.norm(), a.norm(dim=1), torch.linalg.vector_norm(a, 1, dim=-1), torch.linalg.vector_norm(a, float("inf"))), x)
op("logsumexp", lambda a: a.logsumexp(1), x)
op("cumsum", lambda a: (a.cumsum(1), torch.arange(6).cumsum(0) + a.cumprod(2).sum().long()), x)
op("softmax", lambda a: (a.softmax(1), a.softmax(-1), a.log_softmax(0)), x)

# ---- recurrent layers
line = noise(5, 2, 6)
module("lstm", lambda: nn.LSTM(6, 4, num_layers=2, bidirectional=True), line)
module("lstm_batch_first", lambda: nn.LSTM(6, 4, bias=False, batch_first=True), line)
module("lstm_states", lambda: WithStates(nn.LSTM(6, 4)), line, noise(1, 2, 4, seed=1), noise(1, 2, 4, seed=2))
module("gru", lambda: nn.GRU(6, 4, bidirectional=True), line)
module("rnn_tanh", lambda: nn.RNN(6, 4, num_layers=2), line)
module("rnn_relu", lambda: nn.RNN(6, 4, nonlinearity="relu"), line)

# ---- pooling and resampling
op("max_pool2d", lambda a: F.max_pool2d(a, 3, 2, 1), image)
op("max_pool2d_ceil", lambda a: F.max_pool2d(a, (3, 2), 2, ceil_mode=True), image)
op("max_pool2d_dilated", lambda a: F.max_pool2d(a, 3, 1, 1, dilation=2), image)
op("max_pool2d_indices", lambda a: F.max_pool2d(a, 2, return_indices=True), image)
op("max_pool1d", lambda a: F.max_pool1d(a, 3, 2, 1), x)
op("avg_pool2d", lambda a: F.avg_pool2d(a, 3, 2, 1), image)
op("avg_pool2d_ceil", lambda a: F.avg_pool2d(a, 3, 2, 1, ceil_mode=True, count_include_pad=False), image)
op("avg_pool1d", lambda a: F.avg_pool1d(a, 3, 2), x)
op("avg_pool3d", lambda a: F.avg_pool3d(a, 2), noise(1, 3, 5, 7, 6))
op("adaptive_avg_pool2d", lambda a: (F.adaptive_avg_pool2d(a, 1), F.adaptive_avg_pool2d(a, (4, 5))), image)
op("median", lambda a: (a.median(), *a.median(1), *a.median(-1, keepdim=True)), x)
op("adaptive_max_pool2d", lambda a: F.adaptive_max_pool2d(a, (4, 5), return_indices=True), image)
op("adaptive_max_pool1d", lambda a: F.adaptive_max_pool1d(a, 3), x)
op("adaptive_max_pool3d", lambda a: F.adaptive_max_pool3d(a, (2, 3, 4)), noise(1, 3, 5, 7, 6))
op("adaptive_avg_pool1d", lambda a: F.adaptive_avg_pool1d(a, 3), x)
for mode in ("nearest", "bilinear", "bicubic", "nearest-exact"):
    op(f"interpolate_{mode}", lambda a, m=mode: (F.interpolate(a, scale_factor=2, mode=m), F.interpolate(a, size=(9, 17), mode=m)), image)
op("interpolate_corners", lambda a: F.interpolate(a, scale_factor=1.7, mode="bilinear", align_corners=True), image)
op("interpolate_linear", lambda a: F.interpolate(a, scale_factor=2, mode="linear"), x)

# ---- shapes
op("views", lambda a: (a.flatten(1), a.view(2, -1), a.reshape(6, 14), a.permute(2, 0, 1), a.transpose(0, 1).reshape(-1), a.unsqueeze(1).squeeze(1)), x)
op("expand", lambda a: (a.unsqueeze(0).expand(3, -1, -1, -1), a[:, :1].expand_as(a) * a, a[:1].broadcast_to(4, 6, 7)), x)
op("slices", lambda a: (a[:, 1:], a[..., ::2], a[0], a[:, -1], a[:, 2:5, 1:3], a.narrow(1, 1, 3)), x)
op("splits", lambda a: (*a.split(4, 1), *a.chunk(3, 1), *a.split([2, 4], 1), *a.unbind(0)), x)
op("cat_stack", lambda a: (torch.cat([a, a * 2], 1), torch.stack([a, a + 1], -1), torch.cat([a, a.long()], 0)), x)
op("pads", lambda a: (F.pad(a, (1, 2), value=3.0), F.pad(a, (-1, 2, 1, 0)), F.pad(a, (2, 1), mode="reflect"), F.pad(a, (2, 1), mode="replicate"), F.pad(a, (2, 1), mode="circular")), x)
op("pads_image", lambda a: (F.pad(a, (1, 2, 3, 1), mode="reflect"), F.pad(a, (1, 2, 3, 1), mode="replicate"), F.pad(a, (1, 1, 2, 2))), image)
op("pixel_shuffle", lambda a: (F.pixel_shuffle(a, 2), F.pixel_unshuffle(a, 2)), noise(2, 8, 4, 6))
op("channel_shuffle", lambda a: F.channel_shuffle(a, 3), image)
op("repeats", lambda a: (a.repeat(2, 1, 3), a.repeat_interleave(2, 1), a.tile(2)), x)
op("flip_roll", lambda a: (a.flip(1, 2), a.roll(2, 1), a.roll((1, -1), (0, 2)), torch.rot90(a[0])), x)
op("unflatten", lambda a: (a.unflatten(1, (2, 3)), a.movedim(0, 2), a.swapaxes(0, 1), a[0].T, a.mT), x)
op("meshgrid", lambda a: torch.meshgrid(a, a[:2], indexing="ij"), noise(3))
op("diagonal", lambda a: (a.diagonal(dim1=1, dim2=2), torch.diag_embed(a[0])), noise(2, 4, 4))
op("triangles", lambda a: (a.tril(), a.triu(1), a.tril(-1)), noise(2, 4, 5))
op("unfold", lambda a: (a.unfold(2, 3, 2), F.unfold(a.unsqueeze(1), 3)), x)
op("contiguous", lambda a: (a.transpose(1, 2).contiguous() + 1, a.clone(), a.detach() * 2, F.dropout(a, training=False)), x)
op("channels_last", lambda a: a.to(memory_format=torch.channels_last) * 2, image)
op("types", lambda a: (a.to(torch.float64), a.int(), a.bool(), a.type_as(torch.ones(1, dtype=torch.int64)), a.to(torch.int8)), noise(3, 4, scale=5))

# ---- creation and indexing
op("creation", lambda a: (torch.arange(5) + a.sum().long(), torch.arange(1, 3, 0.5) + a[0, :4], torch.full((2,), 3.5) + a[0, :2], torch.zeros_like(a) + a, torch.ones(2, 3), a.new_zeros(2), torch.eye(3) * a[0, 0], torch.linspace(0, 1, 7) * a[0, 0]), noise(3, 4))
op("index", lambda a, i: (a[i], a[:, i], a[:, i, i], a[i, :, i]), noise(4, 4, 5), torch.tensor([[0, 3], [1, -1]]))
op("index_select", lambda a, i: (a.index_select(1, i), torch.gather(a, 1, i[None, :, None].expand(2, 2, 7)), torch.take_along_dim(a, i[None, :, None], 1)), x, torch.tensor([3, 1]))
op("index_put", lambda a, i: (torch.index_put(a, (i,), torch.tensor(5.0)), a.index_put((i,), a[i] * 2, accumulate=True), a.index_add(0, i, a[i])), noise(4, 3), torch.tensor([2, 0, 2]))
op("scatter", lambda a, i: (a.scatter(1, i, 9.0), a.scatter_add(1, i, a), torch.zeros(3, 4).scatter(1, i, a)), noise(3, 4), torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 1, 1]]))
op("one_hot", lambda i: F.one_hot(i, 5), torch.tensor([0, 4, 2]))
op("topk_sort", lambda a: (*a.topk(3, 1), *a.sort(1, descending=True), a.argsort(2)), x)
module("embedding", lambda: nn.Embedding(10, 4), torch.tensor([[1, 9], [0, 3]]))


class SliceAssign(nn.Module):
    def forward(self, a):
        a = a * 2
        a[:, 1:3] = 7.0
        a[:, 0] += 1
        a.mul_(0.5)
        return a, a[:, :2].relu_()


class Cache(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(4, 6))

    def forward(self, a, i):
        self.cache[i] = a
        self.cache.add_(1)
        return self.cache.sum(0) + a


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(6, 6, 3, padding=1)

    def forward(self, a):
        y = self.conv(a)
        return F.relu(y, inplace=True) + a.relu(), y


class Condition(nn.Module):
    def forward(self, a):
        return torch.cond(a.sum() > 0, lambda t: t * 2, lambda t: t - 1, (a,))


add("slice_assign", SliceAssign(), noise(3, 4))
add("cache", Cache(), noise(2, 6), torch.tensor([1, 3]))
module("residual_inplace", Residual, image)
add("condition", Condition(), noise(3, 4) - 1)
op("no_grad", lambda a: torch.no_grad()(lambda t: t.exp() + 1)(a), noise(3, 4))
op("size_arithmetic", lambda a: a.reshape(a.shape[0] * 2, -1) + a.numel(), noise(3, 4))

# ---- attention
q, k, v = noise(2, 4, 5, 8), noise(2, 4, 6, 8, seed=1), noise(2, 4, 6, 8, seed=2)
op("sdpa", F.scaled_dot_product_attention, q, k, v)
op("sdpa_causal", lambda a: F.scaled_dot_product_attention(a, a, a, is_causal=True), q)
op("sdpa_mask", lambda a, b, c, m: F.scaled_dot_product_attention(a, b, c, attn_mask=m, scale=0.3), q, k, v, noise(5, 6, seed=3))
op("sdpa_bool", lambda a, b, c, m: F.scaled_dot_product_attention(a, b, c, attn_mask=m > 0), q, k, v, noise(2, 1, 5, 6, seed=3))
op("sdpa_grouped", lambda a, b, c: F.scaled_dot_product_attention(a, b[:, :2], c[:, :2], enable_gqa=True), q, k, v)
module("attention", lambda: Self(nn.MultiheadAttention(16, 4, batch_first=True)), noise(2, 6, 16))


# ---- quantization: bit for bit
def quantized(name, function, *inputs):
    import torchao.quantization.pt2e  # noqa: F401 - registers quantized_decomposed

    op("quantized_" + name, function, *inputs)


Q = torch.ops.quantized_decomposed
values = torch.cat([noise(997), torch.tensor([1e9, -1e9, 0.0])])
quantized("per_tensor", lambda a: Q.quantize_per_tensor(a, 0.0123, -7, -128, 127, torch.int8), values)
quantized("per_tensor_uint8", lambda a: Q.quantize_per_tensor(a, 0.0371, 128, 0, 255, torch.uint8), values)
quantized("round_trip", lambda a: Q.dequantize_per_tensor(Q.quantize_per_tensor(a, 0.0123, -7, -128, 127, torch.int8), 0.0123, -7, -128, 127, torch.int8), values)
quantized("per_channel", lambda a, s, z: Q.dequantize_per_channel(Q.quantize_per_channel(a, s, z, 1, -127, 127, torch.int8), s, z, 1, -127, 127, torch.int8),
          noise(3, 4, 5), torch.tensor([0.01, 0.02, 0.03, 0.0071]), torch.tensor([0, 1, -1, 5]))


def dynamic(a):
    scale, zero_point = Q.choose_qparams.tensor(a, -128, 127, 1.1920928955078125e-07, torch.int8)
    q = Q.quantize_per_tensor.tensor(a, scale, zero_point, -128, 127, torch.int8)
    return Q.dequantize_per_tensor.tensor(q, scale, zero_point, -128, 127, torch.int8), scale, zero_point


quantized("dynamic", dynamic, noise(3, 50))
