// Values that depend on constants alone: weights, and what pure operators make of them.
#pragma once

#include <optional>
#include <unordered_map>

#include <intaglio/program.h>

namespace intaglio {

// Evaluates on demand and remembers. The program must not change meanwhile.
class ConstantValues {
 public:
  explicit ConstantValues(const ExportedProgram& program) : program_(program) {}
  // Null when the value depends on user inputs, mutated state, randomness, or an op without a kernel.
  const Tensor* find(const Value* value);
  // The same without computing anything.
  bool is_constant(const Value* value);

 private:
  void evaluate(const Node& node);

  const ExportedProgram& program_;
  std::unordered_map<const Value*, bool> constant_;
  std::unordered_map<const Value*, std::optional<Tensor>> tensors_;
};

}  // namespace intaglio
