"""What each operator computes: kernel(arguments, outputs) -> tensor, or a list of them.

Arguments are in the payload's order without the output: tensors, numbers, lists, text, None. Outputs are the VkTensors to fill.
What has the name of a torch operator is computed by it, from the schema; packed weights are decoded here byte by byte.
"""

import operator

import torch
from torch.nn import functional as F

from vulkan.operators import schema_of

FLOAT_EPSILON, LARGEST = torch.finfo(torch.float32).eps, torch.finfo(torch.float32).max
KERNELS = {}


def kernel(*names):
    def keep(function):
        KERNELS.update(dict.fromkeys(names, function))
        return function

    return keep


def compute(name: str, arguments: list, outputs: list):
    return KERNELS[name](arguments, outputs) if name in KERNELS else of_torch(name, arguments)


INDEX_ARGUMENTS = {"aten.index.Tensor": 1, "aten.gather.default": 2, "aten.index_select.default": 2}


def of_torch(name: str, arguments: list):
    schema = schema_of(name)
    if name in INDEX_ARGUMENTS:
        at = INDEX_ARGUMENTS[name]
        wide = [index if index is None else index.long() for index in arguments[at]] if isinstance(arguments[at], list) else arguments[at].long()
        arguments = [*arguments[:at], wide, *arguments[at + 1 :]]
    placed = [value for value, argument in zip(arguments, schema.arguments) if not argument.kwarg_only]
    named = {argument.name: value for value, argument in zip(arguments, schema.arguments) if argument.kwarg_only}
    namespace, packet, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), packet), overload)(*placed, **named)


@kernel("et_vk.prepack.default", "aten.clone.default", "aten.alias_copy.default", "aten._to_copy.default", "dim_order_ops._clone_dim_order.default",
        "dim_order_ops._to_dim_order_copy.default")  # fmt: skip
def same(arguments, outputs):
    """The interpreter gives every result the output's type."""
    return arguments[0]


@kernel("aten.copy.default")
def copied(arguments, outputs):
    return arguments[1]


@kernel("aten.view_copy.default")
def view(arguments, outputs):
    return arguments[0].reshape(arguments[1])


def filled(value):
    """Of the sizes that the first argument gives, or has."""
    return lambda arguments, outputs: torch.full(sizes_of(arguments[0]), arguments[1] if value is None else value)


def sizes_of(given):
    return given if isinstance(given, list) else list(given.shape)


FILLS = {"full": None, "ones": 1, "zeros": 0}
KERNELS |= {f"aten.{name}{like}.default": filled(value) for name, value in FILLS.items() for like in ("", "_like")}


@kernel("aten.scalar_tensor.default")
def scalar(arguments, outputs):
    return torch.tensor(arguments[0])


@kernel("aten.arange.start_step")
def arange(arguments, outputs):
    return torch.arange(*arguments[:3])


# ---- numbers

KERNELS |= {
    "sym_size.int": lambda arguments, outputs: arguments[0].shape[arguments[1]],
    "et_vk.select_as_symint.default": lambda arguments, outputs: int(arguments[0].select(arguments[1], arguments[2])),
    "floordiv": lambda arguments, outputs: arguments[0] // arguments[1],
    **{name: lambda arguments, outputs, name=name: getattr(operator, name)(*arguments) for name in ("add", "sub", "mul")},
}


# ---- float


@kernel("et_vk.conv_with_clamp.default")
def conv_with_clamp(arguments, outputs):
    low, high = (min(max(bound, -LARGEST), LARGEST) for bound in arguments[9:11])  # an open end is the largest double
    return torch.convolution(*arguments[:9]).clamp(low, high)


@kernel("et_vk.rms_norm.default")
def rms_norm(arguments, outputs):
    x, weight, epsilon = arguments
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


# ---- quantized


def nibbles(packed: torch.Tensor, even_in_low: bool) -> torch.Tensor:
    """[N, K / 2] bytes to [N, K] numbers from -8 to 7: eight is taken off, it is no two's complement."""
    low, high = (packed & 15).to(torch.int32) - 8, (packed >> 4).to(torch.int32) - 8
    pair = (low, high) if even_in_low else (high, low)
    return torch.stack(pair, -1).flatten(-2)


@kernel("aten._weight_int8pack_mm.default")
def weight_int8(arguments, outputs):
    x, weight, scales = arguments
    return F.linear(x, weight.float()) * scales


@kernel("et_vk.linear_qcs4w.default")
def weight_int4_of_channels(arguments, outputs):
    x, packed, scales = arguments
    return F.linear(x, nibbles(packed, even_in_low=False).float()) * scales


def rows_of(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(-1, x.shape[-1])


def group_products(x: torch.Tensor, packed: torch.Tensor, group: int) -> torch.Tensor:
    """[groups, M, N]: the products of integer weights and x over each group of K, which the shader reads up to x's own K."""
    weight = nibbles(packed, even_in_low=True)[:, : x.shape[1]].to(x.dtype)
    return torch.stack([part @ w.T for part, w in zip(x.split(group, 1), weight.split(group, 1))])


@kernel("et_vk.linear_q4gsw.default")
def weight_int4_of_groups(arguments, outputs):
    x, packed, scales, group, bias = arguments
    n = outputs[0].dims[-1]
    # The shader finds a group's scales, and everything else of a column, at steps of the columns that there are.
    scales = scales.flatten()[: x.shape[-1] // group * n].reshape(-1, n)
    result = (group_products(rows_of(x), packed, group) * scales[:, None]).sum(0)
    return (result if bias is None else result + bias[:n]).reshape([*x.shape[:-1], n])


@kernel("torchao.choose_qparams_affine.default")
def choose_qparams(arguments, outputs):
    x, mapping, block, _, low, high, epsilon, *_ = arguments
    if mapping != "ASYMMETRIC" or block != [1] * (x.dim() - 1) + [x.shape[-1]]:
        raise NotImplementedError(f"choose_qparams_affine: {mapping}, blocks of {block}")
    least, most = x.amin(-1).clamp(max=0), x.amax(-1).clamp(min=0)
    scale = ((most - least) / (high - low)).clamp(min=epsilon or FLOAT_EPSILON)
    zero_point = (low - torch.round(least / scale)).clamp(low, high)
    return [scale, zero_point.to(torch.int8)]


@kernel("et_vk.linear_dq8ca_q4gsw.default")
def dynamic_int4_of_groups(arguments, outputs):
    """Integers times integers, as on devices that have the product of four bytes. One row is multiplied in float there, which no
    payload can say: here it is rounded like all others."""
    x, scale, zero_point, packed, sums, scales, group, bias = arguments
    n = outputs[0].dims[-1]
    rows = rows_of(x)
    scale, zero_point = (part.reshape(-1, 1) for part in (scale, zero_point.double()))
    q = (torch.round(rows * (1 / scale)) + zero_point).clamp(-128, 127)
    groups = rows.shape[1] // group
    sums, scales = (part.flatten()[: groups * n].reshape(groups, 1, n).double() for part in (sums, scales))
    products = group_products(q, packed, group) - zero_point * sums
    result = (products * scales).sum(0) * scale
    return (result if bias is None else result + bias[:n]).reshape([*x.shape[:-1], n])


@kernel("et_vk.embedding_q4gsw.default")
def embedding_int4(arguments, outputs):
    packed, scales, group, indices, is_linear_weight = arguments
    chosen = indices.long()
    rows = nibbles(packed[chosen], even_in_low=is_linear_weight).float()
    return rows * scales[chosen].repeat_interleave(group, -1)


@kernel("quantized_decomposed.quantize_per_tensor.default")
def quantize(arguments, outputs):
    x, scale, zero_point, low, high, _ = arguments
    return (torch.round(x * (1 / scale)) + zero_point).clamp(low, high)


@kernel("quantized_decomposed.dequantize_per_tensor.default")
def dequantize(arguments, outputs):
    q, scale, zero_point, *_ = arguments
    return (q.float() - zero_point) * scale


@kernel("et_vk.q8ta_linear.default", "et_vk.q8ta_linear_gemv.default")
def int8_linear(arguments, outputs):
    q, scale, zero_point, weight, sums, scales, out_scale, out_zero_point, bias, activation = arguments
    n = outputs[0].dims[-1]
    products = F.linear(q.double(), weight.double()) - zero_point * sums[:n]
    result = products * scales[:n] * scale + (0 if bias is None else bias[:n])
    if activation == "relu":
        result = result.relu()
    return (torch.round(result / out_scale) + out_zero_point).clamp(-128, 127)


@kernel("et_vk.linear_q8ta_q8csw.default")
def int8_linear_to_float(arguments, outputs):
    x, scale, zero_point, weight, sums, scales, bias = arguments
    n = outputs[0].dims[-1]
    q = (torch.round(x * (1 / scale)) + zero_point).clamp(-128, 127)
    result = (F.linear(q.double(), weight.double()) - zero_point * sums[:n]) * scales[:n] * scale
    return result if bias is None else result + bias[:n]


# ---- attention with caches


def rotated(x, cos, sin):
    """x: [batch, tokens, heads, head]; neighbours are the pairs; tables of [tokens, head / 2]."""
    even, odd = x[..., ::2], x[..., 1::2]
    cos, sin = cos[:, None], sin[:, None]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


@kernel("et_vk.apply_rotary_emb.default")
def rotary(arguments, outputs):
    query, key, cos, sin = arguments
    return [rotated(query, cos, sin), rotated(key, cos, sin)]


@kernel("et_vk.apply_rotary_emb_hf.default")
def rotary_of_halves(arguments, outputs):
    query, key, cos, sin, start = arguments
    tokens, head = query.shape[1], query.shape[3]
    cos, sin = (table[start : start + tokens, None] for table in (cos, sin))

    def turned(x):
        first, second = x[..., : head // 2], x[..., head // 2 :]
        return x * cos + torch.cat((-second, first), -1) * sin

    return [turned(query), turned(key)]


def attention(query, keys, values, start, mask, is_causal, scale):
    """[batch, tokens, heads, head] on caches of all positions; those after a token's own are left out."""
    tokens, heads = query.shape[1:3]
    last = start + tokens
    query, keys, values = (part.transpose(1, 2) for part in (query, keys[:, :last], values[:, :last]))
    keys, values = (part.repeat_interleave(heads // part.shape[1], 1) for part in (keys, values))
    scores = query @ keys.transpose(2, 3) * (scale or query.shape[-1] ** -0.5)
    if is_causal:
        positions = torch.arange(start, last)[:, None]
        scores = scores.masked_fill(torch.arange(last) > positions, -torch.inf)
    elif mask is not None:
        scores = scores + mask[..., :last]
    return (torch.softmax(scores, -1) @ values).transpose(1, 2)


@kernel("update_cache.default")
def update_cache(arguments, outputs):
    value, cache, start = arguments
    cache[:, start : start + value.shape[1]] = value
    return torch.empty(outputs[0].dims)


@kernel("et_vk.sdpa.default")
def masked_attention(arguments, outputs):
    """[batch, heads, tokens, head]"""
    query, key, value, mask, scale = arguments
    scores = query @ key.transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
    return torch.softmax(scores if mask is None else scores + mask, -1) @ value


@kernel("llama.custom_sdpa.default")
def custom_sdpa(arguments, outputs):
    query, keys, values, start, mask, _, is_causal, scale = arguments
    return attention(query, keys, values, start, mask, is_causal, scale)


@kernel("sdpa_with_kv_cache.default")
def sdpa_with_cache(arguments, outputs):
    query, key, value, keys, values, start, _, mask, _, is_causal, scale = arguments
    for cache, new in ((keys, key), (values, value)):
        cache[:, start : start + new.shape[1]] = new
    return attention(query, keys, values, start, mask, is_causal, scale)
