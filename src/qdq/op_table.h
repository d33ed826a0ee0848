// The quantize, dequantize and choose-qparams ops of PyTorch (`quantized_decomposed`) and torchao: one row each.
// Test: qdq_test.cpp.
#pragma once

#include <cstdint>
#include <string_view>

#include <intaglio/graph.h>

namespace intaglio::qdq {

enum class Role : uint8_t { choose, quantize, dequantize };

// What one scale serves: the tensor, an index of the argument `axis`, a row of the last dimension, `group_size` elements of
// such a row, or a block of `block_size`. A code book has a list of values for each block in place of a scale.
enum class Granularity : uint8_t { tensor, channel, token, group, block, code_book };

// literals: scale and zero point are numbers. plain: they are tensors, static only where these are constants.
// symmetric: a choosing op whose zero point is the middle of the range.
enum class Variant : uint8_t { plain, literals, symmetric };

// Names of arguments.
struct Places {
  std::string_view input = "input", scale = "scale", zero_point = "zero_point", dtype = "dtype";
};

struct OpRow {
  std::string_view op;
  Role role;
  Granularity granularity;
  Variant variant = Variant::plain;
  Places places = {};
};

// Null for every other op.
const OpRow* find(const Node& node);
// The op's name; a bug error when the table has none.
std::string_view op_of(Role role, Granularity granularity, Variant variant = Variant::plain);

bool is_quantize(const Node& node);
bool is_dequantize(const Node& node);
// The forms PT2E writes: one scale for the tensor, or one for each index of an axis.
bool is_tensor_or_channel_quantize(const Node& node);
bool is_tensor_or_channel_dequantize(const Node& node);

}  // namespace intaglio::qdq
