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

// A matrix of integers whose rows lie in groups of `group_size` elements that share a scale: how torchao writes weights. Nothing is
// read, so that large ones cost nothing until they are used.
struct GroupedRows {
  Value *integers = nullptr, *scale = nullptr;  // [rows, columns] and, row by row, a number for each group
  Value* zero_point = nullptr;                  // likewise; null: all are 0
  int64_t group_size = 0;
  int64_t quant_min = 0, quant_max = 0;

  bool is_per_row() const;  // one group a row
};
// Of a dequantize node by blocks or by groups; nullopt for any other.
std::optional<GroupedRows> grouped_rows_of(const Node& node);

}  // namespace intaglio::qdq
