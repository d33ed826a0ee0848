// A linear or embedding layer whose weight is integers, and the runtime's operator for it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/common/program_facts.h"

namespace intaglio::vulkan {

// A matrix of integers, dequantized where the layer reads it: [rows, columns], `group_size` neighbours in a row share a scale.
struct IntegerRows {
  Value* value = nullptr;        // where the program has `integers` as they are
  Value* scale_value = nullptr;  // likewise `scale`, of any shape
  Tensor integers, scale;        // int8; [rows, groups of a row]
  std::optional<Tensor> zero_point;
  int64_t group_size = 0;
  int64_t quant_min = 0, quant_max = 0;
  bool is_torchaos = false;  // dequantized by blocks, else by one of PT2E's forms

  int64_t rows() const { return integers.size(0); }
  int64_t columns() const { return integers.size(1); }
  int64_t groups() const { return columns() / group_size; }
};

enum class Kernel : uint8_t {
  int8,                 // aten._weight_int8pack_mm: a scale a row
  int4_rows,            // et_vk.linear_qcs4w: a scale a row
  int4_groups,          // et_vk.linear_q4gsw
  int4_groups_dynamic,  // et_vk.linear_dq8ca_q4gsw: the input is int8 at run time, with a range for each row
  int4_table,           // et_vk.embedding_q4gsw
  packed_table,         // the same for a table that the program has packed
};

struct QuantizedLayer {
  Node* node = nullptr;
  Kernel kernel = Kernel::int8;
  // Who reads the float input, before anything quantizes it at run time, or the indices of a table; and as what.
  const Node* reader = nullptr;
  std::string_view argument = "input";
  IntegerRows weight;
  std::vector<const Node*> parts;     // the layer, what dequantizes its weight and what quantizes its input at run time
  bool drops_input_rounding = false;  // the program quantizes its input at run time, and the operator does not
  std::string refusal;                // why the runtime has no operator for it; "" where it has

  Value* input() const { return reader->tensor(argument); }
};
// nullopt for nodes that are no such layer.
std::optional<QuantizedLayer> quantized_layer(const common::ProgramFacts& facts, Node& node);

// Rows and columns that the shaders count in fours are padded.
inline int64_t in_fours(int64_t size) { return (size + 3) / 4 * 4; }

// True for sizes that the runtime's linears take as they are: [rows, columns], and that as one image.
bool is_flat(const SymSizes& sizes);

}  // namespace intaglio::vulkan
