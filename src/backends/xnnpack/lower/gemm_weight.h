// Constant operands of convolutions and linears: float, or quantized behind a dequantize node, possibly transposed.
#pragma once

#include <optional>

#include <intaglio/program.h>

#include "qdq/patterns.h"

namespace intaglio::xnnpack {

struct GemmWeight {
  Tensor data;                        // as the op sees it: a transpose in the graph is a view here
  std::optional<QuantParams> params;  // absent: float
};

// nullopt when the operand is not constant.
std::optional<GemmWeight> gemm_weight(const ExportedProgram& program, const Value* value);
// int8, zero points 0, scales that the runtime takes, per tensor or along `channel_axis`.
bool is_int8_weight(const GemmWeight& weight, int64_t channel_axis);

// The value of an expression of constants (dequantize, permute, transposes, reshapes); nullopt for anything else.
std::optional<Tensor> constant_value(const ExportedProgram& program, const Value* value);
bool is_constant_value(const ExportedProgram& program, const Value* value);

}  // namespace intaglio::xnnpack
