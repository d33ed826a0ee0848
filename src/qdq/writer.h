// Parameters as arguments of quantize and dequantize nodes. Test: qdq_test.cpp.
#pragma once

#include <vector>

#include <intaglio/program.h>
#include <intaglio/quantization.h>

#include "qdq/op_table.h"

namespace intaglio::qdq {

// The two ops, and what both take behind their input.
struct Form {
  Op quantize, dequantize;
  std::vector<NamedArgument> arguments;
  DType dtype;
};

// One scale becomes a literal; one a channel becomes buffers of the program, `_scale_N` in float32 and `_zero_point_N` in int64.
// An unsupported error for other block sizes.
Form static_form(ExportedProgram& program, const QuantParams& params);
// Parameters that a choosing node of the whole tensor finds at run time.
Form dynamic_form(const Node& choose);

}  // namespace intaglio::qdq
