// Which inputs of a program it writes to: of all of them at once, for those who ask of many.
#pragma once

#include <memory>
#include <unordered_set>

#include <intaglio/program.h>

namespace intaglio {

// By an in-place operator or by a result that becomes a state's next value.
std::unordered_set<const Value*> mutated_inputs(const ExportedProgram& program);

// Tensors that the program holds and does not write to. What is written to is found once, at the first question: it must not change
// meanwhile.
class LastingConstants {
 public:
  explicit LastingConstants(const ExportedProgram& program) : program_(program) {}

  // Null for what is computed or written to.
  const Tensor* find(const Value* value) const;
  // As `mutated_inputs` has them.
  const std::shared_ptr<const std::unordered_set<const Value*>>& mutated() const;

 private:
  const ExportedProgram& program_;
  mutable std::shared_ptr<const std::unordered_set<const Value*>> mutated_;
};

}  // namespace intaglio
