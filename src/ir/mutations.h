// Which inputs of a program it writes to: of all of them at once, for those who ask of many.
#pragma once

#include <memory>
#include <unordered_set>
#include <utility>

#include <intaglio/program.h>

namespace intaglio {

// By an in-place operator or by a result that becomes a state's next value.
std::unordered_set<const Value*> mutated_inputs(const ExportedProgram& program);

// Which tensors that the program holds it does not write to. What is written to must not change meanwhile: it is found at once for all of
// them when more than a few were asked about.
class LastingConstants {
 public:
  using Inputs = std::shared_ptr<const std::unordered_set<const Value*>>;
  // `mutated`: the program's mutated_inputs, where they are known.
  explicit LastingConstants(const ExportedProgram& program, Inputs mutated = nullptr) : program_(program), mutated_(std::move(mutated)) {}

  // Null for what is computed or written to.
  const Tensor* find(const Value* value) const;
  // All that is written to.
  const Inputs& mutated() const;

 private:
  bool is_mutated(const Value* input) const;

  const ExportedProgram& program_;
  mutable Inputs mutated_;
  mutable size_t asked_ = 0;
};

}  // namespace intaglio
