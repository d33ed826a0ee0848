"""What each operation of MIL computes. Half precision is what tensors are stored in: operands come as float32, results are rounded once."""

import math

import torch
from torch.nn import functional as F

from coreml import require
from coreml.weights import affine_dequantize, blockwise_shift_scale, lut_to_dense

TYPES = {"fp16": torch.float16, "fp32": torch.float32, "int32": torch.int32, "int16": torch.int16, "uint16": torch.int32,
         "int8": torch.int8, "uint8": torch.uint8, "bool": torch.bool}  # fmt: skip
LIMITS = {"int8": (-128, 127), "uint8": (0, 255)}


def ints(values) -> list[int]:
    return [int(value) for value in values]


# ---- windows


def padded(x, kernel, strides, dilations, pad_type, pad, value=0.0):
    """The input with the borders that `pad_type` means."""
    spatial = len(kernel)
    if pad_type == "valid":
        return x
    if pad_type in ("same", "same_lower"):
        pad = []
        for size, k, s, d in zip(x.shape[-spatial:], kernel, strides, dilations):
            total = max(0, (math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size)
            pad += [(total + (pad_type == "same_lower")) // 2, total - (total + (pad_type == "same_lower")) // 2]
    require(len(pad) == 2 * spatial, f"pad {pad} for {spatial} dimensions")
    reversed_pairs = [pad[2 * i + j] for i in reversed(range(spatial)) for j in (0, 1)]
    return F.pad(x, reversed_pairs, value=value)


def conv(x, weight, bias=None, strides=None, pad_type="valid", pad=None, dilations=None, groups=1):
    spatial = x.dim() - 2
    strides, dilations = ints(strides if strides is not None else [1] * spatial), ints(dilations if dilations is not None else [1] * spatial)
    x = padded(x, weight.shape[2:], strides, dilations, pad_type, ints(pad if pad is not None else []))
    return (F.conv1d, F.conv2d, F.conv3d)[spatial - 1](x, weight, bias, strides, 0, dilations, int(groups))


def conv_transpose(x, weight, bias=None, pad=None, output_shape=None, pad_type="valid", strides=None, dilations=None, groups=1):
    spatial = x.dim() - 2
    strides, dilations = ints(strides if strides is not None else [1] * spatial), ints(dilations if dilations is not None else [1] * spatial)
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[spatial - 1]
    full = function(x, weight, bias, strides, 0, 0, int(groups), dilations)
    pad = ints(pad if pad is not None and pad_type == "custom" else [0] * (2 * spatial))
    for axis in range(spatial):
        before, after = pad[2 * axis : 2 * axis + 2]
        # What the window does not reach is the bias alone.
        size = full.shape[2 + axis] - before - after if output_shape is None else int(output_shape[2 + axis])
        missing = max(0, before + size - full.shape[2 + axis])
        if missing:
            sizes = [missing if i == 2 + axis else n for i, n in enumerate(full.shape)]
            rest = torch.zeros(sizes) if bias is None else bias.reshape([1, -1] + [1] * spatial).expand(sizes)
            full = torch.cat([full, rest], 2 + axis)
        full = full.narrow(2 + axis, before, size)
    return full


def max_pool(x, kernel_sizes, strides=None, pad_type="valid", pad=None, ceil_mode=False):
    return pool(x, kernel_sizes, strides, pad_type, pad, ceil_mode, -math.inf, lambda windows, inside: windows.amax(-1))


def avg_pool(x, kernel_sizes, strides=None, pad_type="valid", pad=None, exclude_padding_from_average=False, ceil_mode=False):
    def mean(windows, inside):
        return windows.sum(-1) / (inside.sum(-1) if exclude_padding_from_average else windows.shape[-1])

    return pool(x, kernel_sizes, strides, pad_type, pad, ceil_mode, 0.0, mean)


def pool(x, kernel_sizes, strides, pad_type, pad, ceil_mode, border, reduce):
    kernel = ints(kernel_sizes)
    strides = ints(strides if strides is not None else [1] * len(kernel))
    pad = ints(pad if pad is not None else [0] * (2 * len(kernel)))
    inside = torch.ones_like(x)
    x, inside = (padded(t, kernel, strides, [1] * len(kernel), pad_type, pad, value) for t, value in ((x, border), (inside, 0.0)))
    for axis, (k, s) in enumerate(zip(kernel, strides)):
        dimension = x.dim() - len(kernel) + axis
        rest = (x.shape[dimension] - k) % s
        if ceil_mode and rest:
            # A window that would begin in the border behind the image is none.
            last = x.shape[dimension] - rest + s - k
            if last < x.shape[dimension] - (pad[2 * axis + 1] if pad_type == "custom" else 0):
                more = [0, 0] * (x.dim() - 1 - dimension) + [0, s - rest]
                x, inside = F.pad(x, more, value=border), F.pad(inside, more)
    windows = [t for t in (x, inside)]
    for axis, (k, s) in enumerate(zip(kernel, strides)):
        windows = [t.unfold(x.dim() - len(kernel) + axis, k, s) for t in windows]
    return reduce(*(t.flatten(-len(kernel)) for t in windows))


def upsample(x, mode, height, width, align_corners=None):
    factors = [float(height), float(width)]
    sizes = [int(round(size * factor)) for size, factor in zip(x.shape[-2:], factors)]
    return F.interpolate(x, size=sizes, mode=mode, **({} if align_corners is None else {"align_corners": bool(align_corners)}))


# ---- moves


def scatter(data, indices, updates, axis=0, mode="add", validate_indices=False):
    """Whole slices along the axis, at places that are not negative."""
    require(mode in ("add", "update") and indices.dim() == 1, f"scatter of mode {mode} at {list(indices.shape)} places")
    require(bool(((indices >= 0) & (indices < data.shape[int(axis)])).all()), "a place outside")
    return (data.index_add if mode == "add" else data.index_copy)(int(axis), indices.long(), updates)


def slice_by_index(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    rank = x.dim()
    none = [False] * rank
    begin, end, stride = ints(begin), ints(end), ints(stride if stride is not None else [1] * rank)
    begin_mask, end_mask = (list(mask) if mask is not None else none for mask in (begin_mask, end_mask))
    squeezed = list(squeeze_mask) if squeeze_mask is not None else none
    index = []
    for axis, size in enumerate(x.shape):
        if squeezed[axis]:
            index.append([begin[axis] % size])
            continue
        index.append(list(range(size))[slice(None if begin_mask[axis] else begin[axis], None if end_mask[axis] else end[axis], stride[axis])])
    for axis, places in enumerate(index):
        x = x.index_select(axis, torch.tensor(places, dtype=torch.long))
    return x.reshape([size for axis, size in enumerate(x.shape) if not squeezed[axis]])


def slice_by_size(x, begin, size):
    for axis, (first, count) in enumerate(zip(ints(begin), ints(size))):
        x = x.narrow(axis, first, count if count >= 0 else x.shape[axis] - first)
    return x


def slice_update(x, update, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    places = torch.arange(x.numel()).reshape(x.shape)
    chosen = slice_by_index(places, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    result = x.clone().reshape(-1)
    result[chosen.reshape(-1)] = update.reshape(-1).to(x.dtype)
    return result.reshape(x.shape)


def reshape(x, shape):
    return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(ints(shape))])


def pad(x, pad, mode="constant", constant_val=0.0):
    pairs = ints(pad)
    count = len(pairs) // 2
    reversed_pairs = [pairs[2 * i + j] for i in reversed(range(count)) for j in (0, 1)]
    if mode == "constant":
        return F.pad(x, reversed_pairs, value=float(constant_val))
    while len(reversed_pairs) > 2 and reversed_pairs[-2:] == [0, 0]:
        reversed_pairs = reversed_pairs[:-2]
    return F.pad(x, reversed_pairs, mode={"reflect": "reflect", "replicate": "replicate"}[mode])


def split(x, axis, num_splits=None, split_sizes=None):
    return list(x.split(ints(split_sizes) if split_sizes is not None else x.shape[int(axis)] // int(num_splits), int(axis)))


def gather(x, indices, axis=0, batch_dims=0, validate_indices=None):
    require(int(batch_dims) == 0, "gather of batches")
    size, axis = x.shape[int(axis)], int(axis) % x.dim()
    indices = indices.long()
    require(bool(((indices >= -size) & (indices < size)).all()), f"an index of {size} entries")
    flat = x.index_select(axis, (indices % size).reshape(-1))
    return flat.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def scatter_nd(data, indices, updates, mode="add", validate_indices=None):
    require(mode == "update", f"scatter_nd of mode {mode}")
    result = data.clone()
    result[tuple(indices.long().unbind(-1))] = updates
    return result


def band_part(x, lower=-1, upper=-1):
    result = x if int(lower) < 0 else x.triu(-int(lower))
    return result if int(upper) < 0 else result.tril(int(upper))


# ---- numbers


def layer_norm(x, axes=None, gamma=None, beta=None, epsilon=1e-5):
    axes = sorted(axis % x.dim() for axis in ints(axes if axes is not None else range(x.dim())))
    require(axes == list(range(axes[0], x.dim())), f"layer_norm over {axes}")
    return F.layer_norm(x, x.shape[axes[0] :], gamma, beta, float(epsilon))


def scaled_dot_product_attention(query, key, value, attn_mask=None):
    # A key that no query may see has a weight of 0, where all are so too.
    return F.scaled_dot_product_attention(query, key, value, attn_mask)


def matmul(x, y, transpose_x=False, transpose_y=False):
    return (x.transpose(-1, -2) if transpose_x else x) @ (y.transpose(-1, -2) if transpose_y else y)


def quantize(input, scale, zero_point=None, output_dtype=None, axis=None):
    column = lambda values: values.float().reshape([-1 if i == int(axis) else 1 for i in range(input.dim())] if values.dim() else [])
    low, high = LIMITS[output_dtype]
    steps = torch.round(input / column(scale)) + (column(zero_point) if zero_point is not None else 0)
    return steps.clamp(low, high).to(TYPES[output_dtype])


def dequantize(input, scale, zero_point=None, axis=None):
    zero = zero_point if zero_point is not None else torch.zeros_like(scale)
    return affine_dequantize(input, zero, scale, axis if axis is not None else 0)


def real_div(x, y):
    return torch.div(x, y) if x.is_floating_point() else torch.div(x, y, rounding_mode="trunc")


def reduction(function):
    def reduce(x, axes=None, keep_dims=False):
        return function(x, ints(axes if axes is not None else range(x.dim())), bool(keep_dims))

    return reduce


def product(x, axes, keep_dims):
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keep_dims)
    return x


def topk(x, k=1, axis=-1, ascending=False, sort=True, return_indices=True, output_indices_dtype=None):
    values, places = x.topk(int(k), int(axis), not ascending)
    return [values, places.to(torch.int32)]


def cumsum(x, axis=0, exclusive=False, reverse=False):
    require(not exclusive and not reverse, "cumsum in another direction")
    return x.cumsum(int(axis))


def one(function):
    return lambda x: function(x)


def two(function):
    return lambda x, y: function(x, y)


ELEMENTWISE = {"relu": torch.relu, "relu6": F.relu6, "silu": F.silu, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "softplus": F.softplus,
               "softsign": F.softsign, "exp": torch.exp, "exp2": torch.exp2, "abs": torch.abs, "sqrt": torch.sqrt, "sin": torch.sin,
               "cos": torch.cos, "tan": torch.tan, "atan": torch.atan, "asin": torch.asin, "acos": torch.acos, "erf": torch.erf,
               "sinh": torch.sinh, "cosh": torch.cosh, "atanh": torch.atanh, "floor": torch.floor, "ceil": torch.ceil,
               "round": torch.round, "sign": torch.sign, "square": torch.square, "logical_not": torch.logical_not,
               "identity": torch.clone}  # fmt: skip
BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "real_div": real_div, "maximum": torch.maximum, "minimum": torch.minimum,
          "pow": torch.pow, "mod": torch.remainder, "floor_div": lambda x, y: torch.div(x, y, rounding_mode="floor"),
          "greater": torch.gt, "greater_equal": torch.ge, "less": torch.lt, "less_equal": torch.le, "equal": torch.eq,
          "not_equal": torch.ne, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
          "logical_xor": torch.logical_xor}  # fmt: skip
REDUCTIONS = {"reduce_mean": torch.mean, "reduce_sum": torch.sum, "reduce_max": torch.amax, "reduce_min": torch.amin, "reduce_prod": product,
              "reduce_l2_norm": lambda x, axes, keep: x.square().sum(axes, keep).sqrt(),
              "reduce_sum_square": lambda x, axes, keep: x.square().sum(axes, keep),
              "reduce_log_sum_exp": torch.logsumexp}  # fmt: skip
COMPRESSED = {
    "constexpr_affine_dequantize": affine_dequantize,
    "constexpr_blockwise_shift_scale": blockwise_shift_scale,
    "constexpr_lut_to_dense": lambda indices, lut, shape=None, vector_axis=None: lut_to_dense(indices, lut, shape),
    "constexpr_cast": lambda source_val, output_dtype: source_val.to(TYPES[output_dtype]),
}
KERNELS = {name: one(function) for name, function in ELEMENTWISE.items()} | {name: two(function) for name, function in BINARY.items()}
KERNELS |= {name: reduction(function) for name, function in REDUCTIONS.items()}
KERNELS |= {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "crop": lambda x, crop_height, crop_width: x[
        ..., int(crop_height[0]) : x.shape[-2] - int(crop_height[1]), int(crop_width[0]) : x.shape[-1] - int(crop_width[1])
    ],
    "linear": lambda x, weight, bias=None: F.linear(x, weight, bias),
    "matmul": matmul,
    "einsum": lambda values, equation: torch.einsum(equation, *values),
    "scaled_dot_product_attention": scaled_dot_product_attention,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "batch_norm": lambda x, mean, variance, gamma=None, beta=None, epsilon=1e-5: F.batch_norm(
        x, mean, variance, gamma, beta, eps=float(epsilon)
    ),
    "instance_norm": lambda x, gamma=None, beta=None, epsilon=1e-5: F.instance_norm(x, weight=gamma, bias=beta, eps=float(epsilon)),
    "layer_norm": layer_norm,
    "l2_norm": lambda x, epsilon=1e-6: x / (x.square().sum((-3, -2, -1), True) + float(epsilon)).sqrt(),
    "softmax": lambda x, axis=-1: torch.softmax(x, int(axis)),
    "gelu": lambda x, mode="EXACT": F.gelu(x, approximate="none" if mode == "EXACT" else "tanh"),
    "clip": lambda x, alpha, beta: x.clamp(float(alpha), float(beta)),
    "leaky_relu": lambda x, alpha: F.leaky_relu(x, float(alpha)),
    "prelu": lambda x, alpha: F.prelu(x, alpha),
    "elu": lambda x, alpha: F.elu(x, float(alpha)),
    "thresholded_relu": lambda x, alpha: torch.where(x >= float(alpha), x, torch.zeros_like(x)),
    "sigmoid_hard": lambda x, alpha, beta: (float(alpha) * x + float(beta)).clamp(0, 1),
    "scaled_tanh": lambda x, alpha, beta: float(alpha) * torch.tanh(float(beta) * x),
    "clamped_relu": lambda x, alpha, beta: torch.where(x >= 0, x, float(alpha) * x).clamp(max=float(beta)),
    "threshold": lambda x, alpha: x.clamp(min=float(alpha)),
    "log": lambda x, epsilon=1e-45: torch.log(x + float(epsilon)),
    "rsqrt": lambda x, epsilon=1e-12: torch.rsqrt(x + float(epsilon)),
    "inverse": lambda x, epsilon=1e-4: 1 / (x + float(epsilon)),
    "cast": lambda x, dtype: x.to(TYPES[dtype]),
    "quantize": quantize,
    "dequantize": dequantize,
    "reshape": reshape,
    "transpose": lambda x, perm: x.permute(ints(perm)),
    "expand_dims": lambda x, axes: x[tuple(None if axis in [a % (x.dim() + len(axes)) for a in ints(axes)] else slice(None) for axis in range(x.dim() + len(axes)))],
    "squeeze": lambda x, axes=None: x.squeeze(ints(axes)) if axes is not None else x.squeeze(),
    "tile": lambda x, reps: x.repeat(ints(reps)),
    "scatter": scatter,
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "slice_update": slice_update,
    "concat": lambda values, axis, interleave=False: torch.cat(values, int(axis)),
    "stack": lambda values, axis: torch.stack(values, int(axis)),
    "split": split,
    "pad": pad,
    "reverse": lambda x, axes=None: x.flip(ints(axes if axes is not None else range(x.dim()))),
    "gather": gather,
    "gather_along_axis": lambda x, indices, axis=0, validate_indices=None: x.gather(int(axis), indices.long()),
    "scatter_nd": scatter_nd,
    "select": lambda cond, a, b: torch.where(cond, a, b),
    "fill": lambda shape, value: torch.full(ints(shape), value.item(), dtype=value.dtype),
    "fill_like": lambda ref_tensor, value: torch.full_like(ref_tensor, value.item(), dtype=value.dtype),
    "range_1d": lambda start, end, step: torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype),
    "shape": lambda x: torch.tensor(x.shape, dtype=torch.int32),
    "band_part": band_part,
    "cumsum": cumsum,
    "topk": topk,
    "reduce_argmax": lambda x, axis=-1, keep_dims=False, output_dtype="int32": x.argmax(int(axis), bool(keep_dims)).to(torch.int32),
    "reduce_argmin": lambda x, axis=-1, keep_dims=False, output_dtype="int32": x.argmin(int(axis), bool(keep_dims)).to(torch.int32),
    "upsample_nearest_neighbor": lambda x, scale_factor_height, scale_factor_width: upsample(x, "nearest", scale_factor_height, scale_factor_width),
    "upsample_bilinear": lambda x, scale_factor_height, scale_factor_width, align_corners=True, half_pixel_centers=None: upsample(
        x, "bilinear", scale_factor_height, scale_factor_width, align_corners
    ),
    "pixel_shuffle": lambda x, upscale_factor: F.pixel_shuffle(x, int(upscale_factor)),
    **COMPRESSED,
}  # fmt: skip
