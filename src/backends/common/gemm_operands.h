// Operands of convolutions and matrix products by a weight, and weights that are known: float, or quantized behind a
// dequantize node, possibly permuted.
#pragma once

#include <optional>

#include "backends/common/program_facts.h"

namespace intaglio::common {

struct GemmOperands {
  Value* input = nullptr;
  Value* weight = nullptr;
  Value* bias = nullptr;     // or null
  int64_t channel_axis = 0;  // of the weight: output channels
  bool transposed = false;   // a transposed convolution
  int64_t groups = 1;
};
// Of convolution, linear, addmm and mm; nullopt for any other op.
std::optional<GemmOperands> gemm_operands(const Node& node);

struct GemmWeight {
  Tensor data;                        // as the op sees it: a permutation in the graph is a view here
  std::optional<QuantParams> params;  // absent: float, or rows in groups
  bool is_grouped = false;            // `data` are the integers of qdq::GroupedRows
};
// nullopt when the operand is not constant.
std::optional<GemmWeight> gemm_weight(const ProgramFacts& facts, const Value* operand);

}  // namespace intaglio::common
