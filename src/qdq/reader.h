// Parameters as nodes state them. Test: qdq_test.cpp.
#pragma once

#include <functional>
#include <optional>

#include <intaglio/program.h>
#include <intaglio/quantization.h>

#include "qdq/op_table.h"

namespace intaglio::qdq {

// The tensor of a constant value; null when it is not constant.
using ConstantLookup = std::function<const Tensor*(const Value*)>;

// Of a quantize or dequantize node. nullopt for other nodes, and for parameters that are found at run time.
// Scales are doubles as a literal states them or as the tensor's elements widen; block sizes are in their shortest form, so
// that equal ones are equal lists.
std::optional<QuantParams> params_of(const Node& node, const ConstantLookup& constant);
// Constants are those that the program holds.
std::optional<QuantParams> params_of(const ExportedProgram& program, const Node& node);

}  // namespace intaglio::qdq
