"""What the runtime aborts on, found before it runs, and memory objects that two tensors hold at a time.

`problems(payload)` gives them all, as text; a payload that is right gives none.
"""

import math
from collections import defaultdict

from vulkan.operators import OPERATORS, arity_of, stands_raw, storages_of
from vulkan.payload import BUFFER, DTYPES, SCALAR_KINDS, TEXTURE, Payload, is_constant, is_tensor, tensor_ids

TEXTURE_LIMITS = (16384, 16384, 2048)
UNSET = 255


def problems(payload: Payload, limits=TEXTURE_LIMITS) -> list[str]:
    found = [*range_problems(payload)]
    if found:
        return found
    for call in payload.chain:
        found += [f"{call.name} ({call.node_id}): {text}" for text in call_problems(payload, call)]
    return found + [*order_problems(payload), *extent_problems(payload, limits), *sharing_problems(payload)]


def range_problems(payload: Payload):
    count = len(payload.values)
    for call in payload.chain:
        if not all(0 <= argument < count for argument in call.args or []):
            yield f"{call.name}: arguments {call.args} of {count} values"
        if call.name not in OPERATORS:
            yield f"{call.name}: the runtime has no such operator"
        elif len(call.args) != arity_of(call.name):
            yield f"{call.name}: {len(call.args)} arguments instead of {arity_of(call.name)}"
    for index, value in enumerate(payload.values):
        if value.kind == "ValueList" and not all(0 <= item < index for item in value.items or []):
            yield f"value {index}: a list of {value.items}"
        if is_tensor(value) and value.constant_id >= len(payload.constants):
            yield f"value {index}: constant {value.constant_id} of {len(payload.constants)}"
        if is_tensor(value) and value.datatype not in DTYPES:
            yield f"value {index}: data type {value.datatype}"
    for what, ids in (("input", payload.inputs), ("output", payload.outputs)):
        if not all(0 <= index < count and payload.values[index].kind in ("VkTensor", "SymInt") for index in ids):
            yield f"{what}s {ids} are not tensors of {count} values"
        if len(set(ids)) != len(ids):
            yield f"{what}s {ids} repeat themselves"


def order_problems(payload: Payload):
    """What is read has been written, and nothing is written twice."""
    written = set(payload.inputs)
    for call in payload.chain:
        for argument in call.args[:-1]:
            for index in tensor_ids(payload, argument):
                if index not in written and not is_constant(payload.values[index]):
                    yield f"{call.name} ({call.node_id}): reads value {index}, which nothing has written"
        for index in tensor_ids(payload, call.args[-1]):
            if index in written or is_constant(payload.values[index]):
                yield f"{call.name} ({call.node_id}): writes value {index} again"
            written.add(index)
    for index in payload.outputs:
        if is_tensor(payload.values[index]) and index not in written:
            yield f"output {index} is never written"


def extents(value) -> tuple[int, int, int]:
    """Texels of a texture: width, height, channels times batch; four elements of the packed dimension are one."""
    sizes = [1] * (4 - len(value.dims or [])) + list(value.dims or [])
    batch, sizes = sizes[0], [sizes[3], sizes[2], sizes[1]]
    sizes[value.memory_layout] = math.ceil(sizes[value.memory_layout] / 4)
    return sizes[0], sizes[1], sizes[2] * batch


def extent_problems(payload: Payload, limits):
    for index, value in enumerate(payload.values):
        if not is_tensor(value) or value.storage_type != TEXTURE:
            continue
        if len(value.dims or []) > 4:
            yield f"value {index}: a texture of rank {len(value.dims)}"
        elif value.memory_layout > 2:
            yield f"value {index}: a texture in layout {value.memory_layout}"
        elif any(extent > limit for extent, limit in zip(extents(value), limits)):
            yield f"value {index}: a texture of {extents(value)} texels, limits {limits}"


# ---- memory


def lifetimes(payload: Payload) -> dict[int, tuple[int, int]]:
    """Of each tensor that is no constant: its first and last call. Inputs live from before the first, outputs until after the last."""
    spans = {index: [-1, -1] for index in payload.inputs}
    for at, call in enumerate(payload.chain):
        for argument in call.args:
            for index in tensor_ids(payload, argument):
                if not is_constant(payload.values[index]):
                    spans.setdefault(index, [at, at])[1] = at
    for index in payload.outputs:
        if index in spans:
            spans[index][1] = len(payload.chain)
    return {index: tuple(span) for index, span in spans.items()}


def sharing_problems(payload: Payload):
    objects = defaultdict(list)
    for index, span in lifetimes(payload).items():
        value = payload.values[index]
        if is_tensor(value) and value.mem_obj_id >= 0:
            objects[value.mem_obj_id].append((span, index))
    for number, holders in objects.items():
        holders.sort()
        for ((_, last), earlier), ((first, _), later) in zip(holders, holders[1:]):
            if first <= last:
                yield f"memory object {number}: values {earlier} and {later} live at a time"
    for call in payload.chain:  # packed constants are read by each run
        if call.name == "et_vk.prepack.default" and payload.values[call.args[-1]].mem_obj_id >= 0:
            yield f"value {call.args[-1]} is a packed constant in shared memory"
    for index, value in enumerate(payload.values):
        if is_constant(value) and value.mem_obj_id >= 0:
            yield f"value {index} is a constant in shared memory"


# ---- calls


def call_problems(payload: Payload, call):
    values = [payload.values[argument] for argument in call.args]
    yield from storage_problems(payload, call)
    check = RULES.get(call.name)
    if check:
        yield from check(*values)


def storage_problems(payload: Payload, call):
    last = len(call.args) - 1
    for position, argument in enumerate(call.args):
        for index in tensor_ids(payload, argument):
            value = payload.values[index]
            if stands_raw(call.name, position, value):
                continue
            if is_constant(value):
                yield f"argument {position} is a raw constant"
            storage = (value.storage_type, value.memory_layout)
            if UNSET not in storage and storage not in storages_of(call.name, -1 if position == last else position):
                yield f"{'output' if position == last else f'argument {position}'} stored as {storage}"


def number(value):
    return getattr(value, SCALAR_KINDS[value.kind]) if value.kind in SCALAR_KINDS else None


def dims(value) -> list[int]:
    return list(getattr(value, "dims", None) or [])


def rows(x) -> int:
    return math.prod(dims(x)[:-1])


def is_flat(x) -> bool:
    """One matrix: all dimensions before the last two are one."""
    return math.prod(dims(x)[:-2]) == 1


def failing(*conditions):
    return [text for holds, text in conditions if not holds]


def constants(*named):
    return [(is_constant(value), f"{name} is no constant") for name, value in named]


def check_int8(x, weight, scales, out):
    n, k = dims(weight) if len(dims(weight)) == 2 else (0, 0)
    yield from failing(
        *constants(("weight", weight), ("scale", scales)),
        (len(dims(x)) in (2, 3), f"input of rank {len(dims(x))}"),
        (dims(x)[-1:] == [k] and dims(scales) == [n] and dims(out)[-1:] == [n], f"{dims(x)} by {dims(weight)}, scales {dims(scales)}, to {dims(out)}"),
        (weight.datatype == 2, "weight is not int8"),
    )


def check_int4_of_channels(x, packed, scales, out):
    n, k = dims(packed)[0], 2 * dims(packed)[1]
    yield from failing(
        *constants(("weight", packed), ("scale", scales)),
        (len(dims(x)) in (2, 3), f"input of rank {len(dims(x))}"),
        (rows(x) > 1, "one row: there is no shader"),
        (dims(x)[-1] == k and dims(scales) == [n] and dims(out)[-1] == n, f"{dims(x)} by {dims(packed)}, scales {dims(scales)}"),
        (k % 4 == 0 and n % 4 == 0, f"K {k}, N {n}: no multiples of four"),
        (packed.datatype == 1, "weight is not uint8"),
    )


def check_groups(x, packed, scales, group, bias, out):
    k, n, g = dims(x)[-1], dims(out)[-1], number(group)
    padded = (k + 7) // 8 * 8
    yield from failing(
        *constants(("weight", packed), ("scale", scales), *([("bias", bias)] if bias.kind != "Null" else [])),
        (is_flat(x), f"input {dims(x)} is no matrix"),
        (dims(x)[:-1] == dims(out)[:-1], f"{dims(x)} to {dims(out)}"),
        (dims(packed) == [n, padded // 2] and packed.datatype == 1, f"weight {dims(packed)} for N {n}, K {k}"),
        (n % 4 == 0 and k % 4 == 0, f"K {k}, N {n}: no multiples of four"),
        (g and k % g == 0 and g % 4 == 0, f"groups of {g} in K {k}"),
        (g and dims(scales) == [k // g, n] and scales.datatype == 5, f"scales {dims(scales)} for groups of {g}"),
        (bias.kind == "Null" or dims(bias) == [n], f"bias {dims(bias)}"),
    )


def check_dynamic_groups(x, scale, zero_point, packed, sums, scales, group, bias, out):
    yield from check_groups(x, packed, scales, group, bias, out)
    k, n, g = dims(x)[-1], dims(out)[-1], number(group)
    # With one group any width serves: the shader reads no second line. With several it steps by N.
    widths = [[1, n], [1, (n + 7) // 8 * 8]] if g == k else [[k // g, n]]
    yield from failing(
        *constants(("sums", sums)),
        (dims(sums) in widths and sums.datatype == 3, f"sums {dims(sums)} for groups of {g} and N {n}"),
        (dims(scale) == dims(x)[:-1] and scale.datatype == 5, f"scale {dims(scale)} of input {dims(x)}"),
        (dims(zero_point) == dims(x)[:-1] and zero_point.datatype == 2, f"zero point {dims(zero_point)} of input {dims(x)}"),
    )


def check_qparams(x, mapping, block, _target, low, high, *rest):
    yield from failing(
        (number(mapping) == "ASYMMETRIC", f"mapping {number(mapping)}"),
        (is_flat(x), f"input {dims(x)} is no matrix"),
        (block.kind == "IntList" and list(block.items) == [1] * (len(dims(x)) - 1) + dims(x)[-1:], "blocks are not rows"),
        ((number(low), number(high)) == (-128, 127), f"range {number(low)} to {number(high)}"),
    )


def check_embedding(packed, scales, group, indices, is_linear_weight, out):
    width, g = dims(out)[-1], number(group)
    yield from failing(
        *constants(("weight", packed), ("scale", scales)),
        (width % 32 == 0 and g and width % g == 0, f"rows of {width} in groups of {g}"),
        (dims(packed) == [dims(scales)[0], width // 2] and g and dims(scales)[1] == width // g, f"weight {dims(packed)}, scales {dims(scales)}"),
    )


def check_pool(x, kernel, stride, *_):
    for name, value in (("kernel", kernel), ("stride", stride)):
        if value.kind != "IntList" or len(value.items or []) != 2:
            yield f"{name} is not two numbers"


def check_convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups, *_):
    spatial = len(dims(weight)) - 2
    yield from failing(
        *constants(("weight", weight)),
        (len(dims(x)) == spatial + 2 and spatial in (1, 2), f"input of rank {len(dims(x))}, weight of {len(dims(weight))}"),
        (spatial == 1 or dims(x)[0] == 1, f"batch {dims(x)[0]}"),
        (spatial == 2 or not number(transposed), "a transposed convolution in one dimension"),
        (all(len(part.items or []) == spatial for part in (stride, padding, dilation)), "lists that are not one number a dimension"),
    )


def check_prepack(source, out):
    yield from failing(*constants(("source", source)), (dims(source) == dims(out), f"{dims(source)} to {dims(out)}"))


def check_reduction(x, over, keepdim, *rest):
    rank = len(dims(x))
    items = [item % rank for item in over.items or []] if over.kind == "IntList" else [number(over) % rank] if number(over) is not None else []
    yield from failing((items == [rank - 1] or (1 <= len(items) <= 2 and number(keepdim)), f"reduces {items} of {rank} dimensions"))


def check_same_storage(*values):
    """Shaders of two operands are made for one kind of storage."""
    used = {value.storage_type for value in values if is_tensor(value) and value.storage_type in (BUFFER, TEXTURE)}
    yield from failing((len(used) <= 1, "textures and buffers in one call"))


RULES = {
    "aten._weight_int8pack_mm.default": check_int8,
    "et_vk.linear_qcs4w.default": check_int4_of_channels,
    "et_vk.linear_q4gsw.default": check_groups,
    "et_vk.linear_dq8ca_q4gsw.default": check_dynamic_groups,
    "torchao.choose_qparams_affine.default": check_qparams,
    "et_vk.embedding_q4gsw.default": check_embedding,
    "aten.max_pool2d_with_indices.default": check_pool,
    "aten.max_pool2d.default": check_pool,
    "aten.avg_pool2d.default": check_pool,
    "aten.convolution.default": check_convolution,
    "et_vk.conv_with_clamp.default": check_convolution,
    "et_vk.prepack.default": check_prepack,
    **dict.fromkeys(("aten.mean.dim", "aten.sum.dim_IntList", "aten.amax.default", "aten.amin.default"), check_reduction),
    **{f"aten.{name}.Tensor": check_same_storage for name in ("add", "sub", "mul", "div")},
}
