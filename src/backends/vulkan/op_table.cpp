#include "backends/vulkan/op_table.h"

#include <algorithm>

#include "backends/vulkan/constraints.h"

namespace intaglio::vulkan {
namespace {

namespace c = constraints;
using namespace representations;
using enum Types;
constexpr Types numbers = floats | integers;
constexpr Types plain = numbers | booleans;

// One packed dimension that the reduction leaves as it is; the last dimension alone is also reduced in a buffer.
Storages storages_of_reduction(const Node& node) {
  if (reduces_last_dim_alone(node)) return node.boolean("keepdim") ? any_texture | width_buffer : width_buffer;
  const std::vector<int64_t> dims = reduced_dims(node);
  if (dims.size() != 2) return any_texture;
  const int64_t rank = node.inputs().front()->meta().rank();
  const auto is_kept = [&](int64_t from_behind) { return std::ranges::find(dims, rank - 1 - from_behind) == dims.end(); };
  return is_kept(0) ? width_texture : is_kept(1) ? height_texture : channels_texture;
}

// Of 1-d convolutions some shaders work along the length.
Storages storages_of_convolution(const Node& node) {
  const TensorMeta &input = node.tensor("input")->meta(), &weight = node.tensor("weight")->meta();
  bool is_simple = false;
  if (input.rank() == 3) {
    const bool is_depthwise = weight.sizes[0] == node.integer("groups") && weight.sizes[0] == input.sizes[1] && weight.sizes[1] == 1;
    is_simple = weight.sizes[2] == 1 || is_depthwise;
  }
  const Representations set = is_simple ? height_texture : channels_texture;
  return {{set, none}, set};
}

Storages storages_of_index(const Node& node) { return node.tensor("self")->meta().rank() > 1 ? width_buffer : any; }

Storages storages_of_cast(const Node& node) {
  return is_floating(node.tensor("self")->dtype()) && is_floating(node.output()->dtype()) ? any : width_buffer;
}

constexpr uint8_t resizes = can::resize, wide = can::resize | can::many_dims, packs = can::resize | can::pack, moves = wide | can::move;

// ops, storages, types of operands, abilities, constraints, types of results, storages of a node
const std::vector<OpRow>& rows() {
  static const std::vector<OpRow> table = {
      {"abs cos exp gelu hardshrink hardswish hardtanh neg relu sigmoid sin sqrt rsqrt tanh round leaky_relu log10", any, floats, resizes},
      {"clamp", any, numbers, resizes},
      {"add.Tensor sub.Tensor mul.Tensor div.Tensor minimum", any, numbers, wide, c::same_types},
      {"div.Tensor_mode", any, floats, wide, c::floor_division},
      {"lt.Tensor le.Tensor gt.Tensor ge.Tensor", any, numbers, wide, c::same_types, booleans},
      {"eq.Tensor", any, integers, wide, c::same_types, booleans},
      {"eq.Scalar ne.Scalar lt.Scalar le.Scalar ge.Scalar gt.Scalar", any, numbers, wide, {}, booleans},
      {"bitwise_and.Tensor bitwise_or.Tensor bitwise_not logical_and logical_or", any, booleans, wide},
      {"pow.Tensor_Scalar", any, floats, wide},
      {"_to_copy", any, plain, resizes, c::cast, plain, storages_of_cast},
      {"_softmax _log_softmax", any, floats, resizes, c::softmax},

      {"mm bmm", contiguous, floats, packs, c::product},
      {"addmm", contiguous, floats, packs, c::addmm},
      {"linear", contiguous, floats, packs, c::linear},
      {"_weight_int8pack_mm et_vk.linear_qcs4w.default", contiguous, {}, packs},
      {"et_vk.linear_q4gsw.default", contiguous, {}, can::pack},
      {"et_vk.linear_dq8ca_q4gsw.default", {{contiguous, width_texture, width_texture}, contiguous}, {}, can::pack},
      {"torchao.choose_qparams_affine.default", {contiguous, {width_texture, width_texture}}, {}, resizes},

      {"mean.dim sum.dim_IntList amax amin", any_texture, floats, wide, c::reduction, {}, storages_of_reduction},
      {"argmax argmin", width_buffer, floats, wide, c::arg_reduction, integers},
      {"avg_pool2d", channels_texture, floats, resizes, c::pooling},
      {"max_pool2d_with_indices", channels_texture, floats, resizes, c::pooling, {floats, integers}},
      {"convolution et_vk.conv_with_clamp.default", channels_texture, floats, packs, c::convolution, {}, storages_of_convolution},

      {"permute_copy view_copy clone alias_copy dim_order_ops._clone_dim_order.default", any, plain, moves},
      {"squeeze_copy.dims unsqueeze_copy select_copy.int slice_copy.Tensor split_with_sizes_copy", any, plain, moves},
      {"gather", any, {plain, unasked, integers}, wide},
      {"dim_order_ops._to_dim_order_copy.default", any_buffer, plain, wide, c::cast, plain},
      {"unfold_copy", any_buffer, floats, wide},
      {"expand_copy", any, plain, can::many_dims | can::move},
      {"cat", any, numbers, resizes | can::move, c::same_types},
      {"constant_pad_nd", any, plain, resizes, c::pad},
      {"full full_like ones ones_like zeros zeros_like repeat", any, plain},
      {"arange.start_step", any, numbers, resizes},
      {"index.Tensor", any, numbers, resizes, c::index, {}, storages_of_index},
      {"flip index_select", channels_texture, plain},
      {"where.self", any, {booleans, floats, floats}, resizes, {}, floats},
      {"scalar_tensor", channels_texture, numbers, resizes},
      {"upsample_nearest2d.vec upsample_bilinear2d.vec", channels_texture, floats, can::nothing, c::upsample},
      {"grid_sampler_2d", {{channels_texture, width_buffer}, channels_texture}, floats, resizes, c::grid_sampler},
      {"pixel_shuffle", any, floats, resizes},
      {"embedding", any, {floats, integers}, packs, c::embedding, floats},
      {"et_vk.embedding_q4gsw.default", contiguous, {}, packs},
      {"_native_batch_norm_legit_no_training", channels_texture, floats, packs, c::batch_norm},
      {"native_group_norm", {channels_texture, {channels_texture, width_buffer, width_buffer}}, floats, can::pack, c::group_norm},
      {"native_layer_norm", any, floats, packs, c::layer_norm},
      {"et_vk.rms_norm.default", contiguous, floats, packs},
      {"et_vk.apply_rotary_emb.default et_vk.apply_rotary_emb_hf.default", contiguous, floats, wide},
      {"et_vk.apply_rotary_emb_interleaved.default", {{contiguous, width_buffer}, contiguous}, floats, wide},
      {"et_vk.sdpa.default", contiguous, floats, resizes},
      {"llama.updated_cache.default", contiguous, floats, resizes, c::cache},
      {"llama.custom_sdpa.default", contiguous, floats, resizes, c::attention},
      {"copy", any, {}, resizes, c::same_copy},
  };
  return table;
}

constexpr std::string_view absent[] = {
    "aten.t_copy.default",
    "aten.logical_not.default",
    "quantized_decomposed.quantize_per_channel.default",
    "quantized_decomposed.dequantize_per_channel.default",
    "quantized_decomposed.quantize_per_token.default",
    "quantized_decomposed.dequantize_per_token.default",
    "quantized_decomposed.quantize_per_tensor.tensor",
    "quantized_decomposed.dequantize_per_tensor.tensor",
    "quantized_decomposed.choose_qparams.tensor",
    "quantized_decomposed.choose_qparams_per_token_asymmetric.default",
    "quantized_decomposed.embedding_4bit.dtype",
    "torchao.quantize_affine.default",
    "torchao.dequantize_affine.default",
};

}  // namespace

const OpRow* find_row(std::string_view op) {
  static const common::RowsByOp<OpRow> by_op(rows());
  return by_op.find(op);
}

bool has_symbol_op(std::string_view op) {
  constexpr std::string_view ops[] = {"sym_size.int", "et_vk.select_as_symint.default", "add", "sub", "mul", "floordiv"};
  return std::ranges::find(ops, op) != std::end(ops);
}

bool is_absent_from_runtime(std::string_view op) { return std::ranges::find(absent, op) != std::end(absent); }

size_t primary_place(const Node& node) { return node.is("aten.embedding.default") ? 1 : node.is("et_vk.embedding_q4gsw.default") ? 3 : 0; }

bool reads_constant(const OpRow& row, const Node& node, size_t place) { return row.may(can::pack) && place != primary_place(node); }

}  // namespace intaglio::vulkan
