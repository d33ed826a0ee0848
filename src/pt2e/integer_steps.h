// Quantization written out in PyTorch's plain operators. Inside of reference_representation.h.
#pragma once

#include <optional>

#include <intaglio/quantization.h>

#include "decompose/builder.h"
#include "qdq/patterns.h"

namespace intaglio::pt2e {

struct IntegerRange {
  int64_t low = -128, high = 127;
};

// clamp(round(x) + zero_point) in `dtype`: a float of the quantized scale becomes integers.
Value* rounded_to(decompose::GraphBuilder& b, Value* x, const Argument& zero_point, IntegerRange range, DType dtype);

// q - zero_point in a type wide enough for it.
Value* centered(decompose::GraphBuilder& b, Value* q, const Argument& zero_point, DType wide);

// A tensor of int8 or uint8 with one scale that a float value stands for, or nullopt.
std::optional<qdq::Dequantized> small_integers(const ExportedProgram& program, const Value* value);

// A weight of int8 or uint8: one scale, or one without a zero point for each index of `axis`.
std::optional<qdq::Dequantized> small_weight(const ExportedProgram& program, const Value* value, int64_t axis);

// Quantize and dequantize nodes that are left, written out; results are equal bit for bit.
void write_out_quantization(ExportedProgram& program);

}  // namespace intaglio::pt2e
