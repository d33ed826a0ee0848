// Matrices of small integers behind torchao's dequantize nodes, and the forms in which the kernels for inputs that are quantized at
// run time take them.
#pragma once

#include <string>

#include "backends/common/program_facts.h"
#include "backends/xnnpack/features.h"
#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

struct RowWeight {
  qdq::GroupedRows rows;
  DataType type = DataType::invalid;  // qcint8, qcint4 or qbint4
  std::string refusal;                // why no kernel takes it; "" when one does
};
// nullopt for an operand that is no such matrix.
std::optional<RowWeight> row_weight(const common::ProgramFacts& facts, const Features& features, const Value* operand);

// Why no kernel takes a weight with these numbers; "" when kernels do.
std::string refused_numbers(const Tensor& scale, const Tensor* zero_point);
// Finite, positive and not subnormal in float32: what the runtime takes.
bool is_usable_scale(double scale);

}  // namespace intaglio::xnnpack
