#include "qdq/op_table.h"

#include <algorithm>
#include <array>

#include <intaglio/error.h>

namespace intaglio::qdq {
namespace {

using enum Role;
using enum Granularity;
using enum Variant;

constexpr Places plural = {.scale = "scales", .zero_point = "zero_points"};
constexpr Places to_dtype = {.dtype = "output_dtype"}, from_dtype = {.dtype = "input_dtype"}, chosen_dtype = {.dtype = "target_dtype"};
constexpr Places codes = {.input = "codes", .scale = "codebook"};

constexpr std::array rows = {
    OpRow{"quantized_decomposed.quantize_per_tensor.default", quantize, tensor, literals},
    OpRow{"quantized_decomposed.quantize_per_tensor.tensor", quantize, tensor},
    OpRow{"quantized_decomposed.quantize_per_tensor.tensor2", quantize, tensor},
    OpRow{"quantized_decomposed.quantize_per_channel.default", quantize, channel, plain, plural},
    OpRow{"quantized_decomposed.quantize_per_token.default", quantize, token, plain, plural},
    OpRow{"quantized_decomposed.quantize_per_channel_group.default", quantize, group, plain, plural},
    OpRow{"torchao.quantize_affine.default", quantize, block, plain, to_dtype},
    OpRow{"quantized_decomposed.dequantize_per_tensor.default", dequantize, tensor, literals},
    OpRow{"quantized_decomposed.dequantize_per_tensor.tensor", dequantize, tensor},
    OpRow{"quantized_decomposed.dequantize_per_tensor.tensor2", dequantize, tensor},
    OpRow{"quantized_decomposed.dequantize_per_channel.default", dequantize, channel, plain, plural},
    OpRow{"quantized_decomposed.dequantize_per_token.default", dequantize, token, plain, plural},
    OpRow{"quantized_decomposed.dequantize_per_channel_group.default", dequantize, group, plain, plural},
    OpRow{"torchao.dequantize_affine.default", dequantize, block, plain, from_dtype},
    OpRow{"quant.dequantize_codebook.default", dequantize, code_book, plain, codes},
    OpRow{"quantized_decomposed.choose_qparams.tensor", choose, tensor},
    OpRow{"quantized_decomposed.choose_qparams_symmetric.tensor", choose, tensor, symmetric},
    OpRow{"quantized_decomposed.choose_qparams_per_token_asymmetric.default", choose, token},
    OpRow{"quantized_decomposed.choose_qparams_per_token.default", choose, token, symmetric},
    OpRow{"torchao.choose_qparams_affine.default", choose, block, plain, chosen_dtype},
};

bool has_role(const Node& node, Role role) {
  const OpRow* row = find(node);
  return row && row->role == role;
}

bool is_tensor_or_channel(const Node& node, Role role) {
  const OpRow* row = find(node);
  return row && row->role == role && (row->granularity == tensor || row->granularity == channel);
}

}  // namespace

const OpRow* find(const Node& node) {
  const auto row = std::ranges::find_if(rows, [&](const OpRow& r) { return node.is(r.op); });
  return row == rows.end() ? nullptr : &*row;
}

std::string_view op_of(Role role, Granularity granularity, Variant variant) {
  for (const OpRow& row : rows)
    if (row.role == role && row.granularity == granularity && row.variant == variant) return row.op;
  throw_bug("no quantization op of such a form");
}

bool is_quantize(const Node& node) { return has_role(node, quantize); }
bool is_dequantize(const Node& node) { return has_role(node, dequantize); }
bool is_tensor_or_channel_quantize(const Node& node) { return is_tensor_or_channel(node, quantize); }
bool is_tensor_or_channel_dequantize(const Node& node) { return is_tensor_or_channel(node, dequantize); }

}  // namespace intaglio::qdq
