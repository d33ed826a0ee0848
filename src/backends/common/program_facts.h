// What partitioning and lowering ask of a program again and again: what is constant, and with which parameters it is quantized.
#pragma once

#include <optional>
#include <unordered_map>

#include <intaglio/program.h>

#include "interpreter/constant_values.h"
#include "ir/mutations.h"
#include "qdq/patterns.h"

namespace intaglio::common {

// Found at the first question and remembered. The program must not change meanwhile.
class ProgramFacts {
 public:
  // `mutated`: the program's mutated_inputs, of one who makes many of these.
  explicit ProgramFacts(const ExportedProgram& program, LastingConstants::Inputs mutated = nullptr);

  const ExportedProgram& program() const { return program_; }
  // A constant, or what dequantizing, permuting and reshaping make of one: a delegate knows it before it runs.
  bool is_constant(const Value* value) const { return value->is_tensor() && constants_.is_constant(value); }
  // True if the node's single result is such a value.
  bool makes_constant(const Node& node) const { return node.outputs().size() == 1 && is_constant(node.output()); }
  // The tensor of one that the program itself holds; null for what is made by a node or written to.
  const Tensor* stored(const Value* value) const { return stored_.find(value); }
  // The tensor of such a value, computed at each call and not kept; nullopt for any other.
  std::optional<Tensor> constant_value(const Value* value) const;
  // The static parameters of a quantize or dequantize node, else null.
  const QuantParams* params_of(const Node& node) const;

 private:
  const ExportedProgram& program_;
  LastingConstants stored_;
  mutable ConstantValues constants_;
  mutable std::unordered_map<const Node*, std::optional<QuantParams>> params_;
};

// The largest value a size can take; nullopt when it has no bound.
std::optional<int64_t> upper_bound(const ExportedProgram& program, const SymInt& size);

}  // namespace intaglio::common
