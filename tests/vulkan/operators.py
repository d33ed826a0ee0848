"""The runtime's operators: how their tensors may be stored, and which arguments stay raw constants.

An operator that is not here has no implementation on the device: the process aborts as it loads such a payload.
"""

from dataclasses import dataclass

from vulkan.payload import BUFFER, CHANNELS, HEIGHT, TEXTURE, WIDTH, is_constant

LAYOUTS = (WIDTH, HEIGHT, CHANNELS)
PACKED_INT8 = {(BUFFER, layout) for layout in (3, 4, 5, 6, 8, 9)}
WIDTH_BUFFER, WIDTH_TEXTURE = {(BUFFER, WIDTH)}, {(TEXTURE, WIDTH)}
HEIGHT_TEXTURE, CHANNELS_TEXTURE = {(TEXTURE, HEIGHT)}, {(TEXTURE, CHANNELS)}
TEXTURES = {(TEXTURE, layout) for layout in LAYOUTS}
ANY_BUFFER = {(BUFFER, layout) for layout in LAYOUTS}
ANY = TEXTURES | ANY_BUFFER
CONTIGUOUS = WIDTH_BUFFER | WIDTH_TEXTURE
PER_TENSOR = CHANNELS_TEXTURE | WIDTH_BUFFER


@dataclass(frozen=True)
class Operator:
    """`raw`: which arguments are constants that the operator packs itself; all others are prepacked first.
    `special`: storage of some arguments that differs, by position. `arity`: of those that torch has no schema of, the output
    counted."""

    inputs: frozenset
    outputs: frozenset
    raw: tuple = ()
    special: tuple = ()
    arity: int | None = None


def row(names: str, inputs, outputs=None, raw=(), special=(), arity=None) -> dict:
    made = Operator(frozenset(inputs), frozenset(outputs or inputs), raw, special, arity)
    return {name: made for name in names.split()}


def of_aten(names: str) -> str:
    return " ".join("aten." + name for name in names.split())


def unary(names: str) -> str:
    return of_aten(" ".join(f"{name}.default" for name in names.split()))


OPERATORS = (
    row(unary("abs cos exp gelu hardshrink hardswish hardtanh neg relu sigmoid sin sqrt rsqrt tanh round leaky_relu log10 clamp"), ANY)
    | row(of_aten("add.Tensor sub.Tensor mul.Tensor div.Tensor div.Tensor_mode minimum.default pow.Tensor_Tensor pow.Tensor_Scalar"), ANY)
    | row(of_aten("eq.Tensor lt.Tensor le.Tensor gt.Tensor ge.Tensor"), ANY)
    | row(of_aten("eq.Scalar ne.Scalar lt.Scalar le.Scalar ge.Scalar gt.Scalar"), ANY)
    | row(of_aten("bitwise_and.Tensor bitwise_or.Tensor bitwise_not.default logical_and.default logical_or.default"), ANY)
    | row(of_aten("_to_copy.default _softmax.default _log_softmax.default where.self pixel_shuffle.default"), ANY)
    | row("aten.linear.default", CONTIGUOUS, raw=(1, 2))
    | row(of_aten("mm.default bmm.default"), CONTIGUOUS, raw=(1,))
    | row("aten.addmm.default", CONTIGUOUS, raw=(0, 2))
    | row("aten._weight_int8pack_mm.default", CONTIGUOUS, raw=(1, 2))
    | row("et_vk.linear_qcs4w.default", CONTIGUOUS, raw=(1, 2), arity=4)
    | row("et_vk.linear_q4gsw.default", CONTIGUOUS, raw=(1, 2, 4), arity=6)
    | row("et_vk.linear_dq8ca_q4gsw.default", CONTIGUOUS, raw=(3, 4, 5, 7), special=((1, "width texture"), (2, "width texture")), arity=9)
    | row("et_vk.linear_q8ta_q8csw.default", CONTIGUOUS, raw=(3, 4, 5, 6), arity=8)
    | row("torchao.choose_qparams_affine.default", CONTIGUOUS, WIDTH_TEXTURE, arity=11)
    | row("quantized_decomposed.quantize_per_tensor.default", PER_TENSOR, PACKED_INT8, arity=7)
    | row("quantized_decomposed.dequantize_per_tensor.default", PACKED_INT8, PER_TENSOR, arity=8)
    | row("et_vk.q8ta_linear.default et_vk.q8ta_linear_gemv.default", PACKED_INT8, raw=(3, 4, 5, 8), arity=11)
    | row("et_vk.q8ta_add.default", PACKED_INT8, arity=10)
    | row("et_vk.q8ta_relu.default", PACKED_INT8, arity=6)
    | row(of_aten("mean.dim sum.dim_IntList amax.default amin.default argmax.default argmin.default"), TEXTURES | WIDTH_BUFFER)
    | row(of_aten("avg_pool2d.default max_pool2d.default max_pool2d_with_indices.default"), CHANNELS_TEXTURE)
    | row("aten.convolution.default", CHANNELS_TEXTURE | HEIGHT_TEXTURE, raw=(1, 2))
    | row("et_vk.conv_with_clamp.default", CHANNELS_TEXTURE | HEIGHT_TEXTURE, raw=(1, 2), arity=12)
    | row(of_aten("permute_copy.default expand_copy.default unsqueeze_copy.default select_copy.int slice_copy.Tensor"), ANY)
    | row(of_aten("split_with_sizes_copy.default gather.default cat.default constant_pad_nd.default squeeze_copy.dims"), ANY)
    | row(of_aten("full.default full_like.default ones.default ones_like.default zeros.default zeros_like.default repeat.default"), ANY)
    | row("aten.permute.default", TEXTURES)
    | row(of_aten("arange.start_step index.Tensor"), ANY)
    | row(of_aten("view_copy.default clone.default alias_copy.default copy.default"), ANY | PACKED_INT8, arity=3)
    | row("dim_order_ops._clone_dim_order.default", ANY | PACKED_INT8, arity=4)
    | row("dim_order_ops._to_dim_order_copy.default", ANY_BUFFER, arity=8)
    | row("aten.unfold_copy.default", ANY_BUFFER)
    | row(of_aten("flip.default index_select.default scalar_tensor.default"), CHANNELS_TEXTURE)
    | row(of_aten("upsample_nearest2d.vec upsample_bilinear2d.vec"), CHANNELS_TEXTURE)
    | row("et_vk.grid_priors.default", CHANNELS_TEXTURE, arity=4)
    | row("aten.grid_sampler_2d.default", CHANNELS_TEXTURE, special=((1, "width buffer"),))
    | row("aten.embedding.default", ANY, raw=(0,))
    | row("et_vk.embedding_q4gsw.default", CONTIGUOUS, raw=(0, 1), arity=6)
    | row("aten._native_batch_norm_legit_no_training.default", CHANNELS_TEXTURE, raw=(1, 2, 3, 4))
    | row("aten.native_group_norm.default", CHANNELS_TEXTURE, CHANNELS_TEXTURE | WIDTH_BUFFER, raw=(1, 2))
    | row("aten.native_layer_norm.default", ANY, raw=(2, 3))
    | row("et_vk.rms_norm.default", CONTIGUOUS, raw=(1,), arity=4)
    | row("et_vk.apply_rotary_emb.default", CONTIGUOUS, arity=5)
    | row("et_vk.apply_rotary_emb_hf.default", CONTIGUOUS, arity=6)
    | row("update_cache.default", CONTIGUOUS, arity=4)
    | row("sdpa_with_kv_cache.default", CONTIGUOUS, arity=12)
    | row("llama.custom_sdpa.default", CONTIGUOUS, arity=9)
    | row("et_vk.prepack.default", ANY | PACKED_INT8, raw=(0,), arity=2)
    | row("et_vk.sdpa.default", CONTIGUOUS, arity=6)
    | row("sym_size.int", ANY, arity=3)
    | row("et_vk.select_as_symint.default", ANY, arity=4)
    | row("add sub mul floordiv lt gt ge le eq", ANY, arity=3)
)
SPECIAL = {"width texture": WIDTH_TEXTURE, "width buffer": WIDTH_BUFFER}


def arity_of(name: str) -> int:
    """Arguments and the output that an operator is called with."""
    if OPERATORS[name].arity:
        return OPERATORS[name].arity
    return len(schema_of(name).arguments) + 1


def schema_of(name: str):
    import torch

    namespace, operator, overload = name.split(".")
    return getattr(getattr(getattr(torch.ops, namespace), operator), overload)._schema


def storages_of(name: str, position: int) -> frozenset:
    """What a tensor argument may be stored as; position -1 is the output."""
    operator = OPERATORS[name]
    special = dict(operator.special).get(position)
    return SPECIAL[special] if special else operator.outputs if position == -1 else operator.inputs


def stands_raw(name: str, position: int, value) -> bool:
    return is_constant(value) and position in OPERATORS[name].raw
