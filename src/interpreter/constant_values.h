// Values that depend on constants alone: weights, and what operators make of them. Test: constant_values_test.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include <intaglio/program.h>

#include "ir/mutations.h"

namespace intaglio {

bool draws_random_numbers(const Node& node);
// Same arguments, same result, nothing else changed. Higher-order ops, which have no schema, count as impure.
bool is_pure(const Node& node);

// What operators without inputs make (arange, full): unknown, or constant when its sizes are fixed and nothing writes into
// it, be it through a view.
enum class Creations : uint8_t { unknown, constant };

// Asked on demand; answers and values are remembered as long as this lives, so what is large should be asked of one that
// goes soon. The program must not change meanwhile.
class ConstantValues {
 public:
  // `takes`: the ops that may stand between a constant and a value that counts as one.
  explicit ConstantValues(const ExportedProgram& program, std::function<bool(const Node&)> takes = is_pure,
                          Creations creations = Creations::unknown);
  // `mutated`: the program's mutated_inputs, of one who makes many of these.
  ConstantValues(const ExportedProgram& program, std::function<bool(const Node&)> takes,
                 std::shared_ptr<const std::unordered_set<const Value*>> mutated);
  // Parameters, buffers and constants that nothing mutates, and what is computed from them. Computes nothing.
  bool is_constant(const Value* value);
  // Null when it is not constant, or an op has no kernel. A view of a constant is a view of its memory.
  const Tensor* find(const Value* value);

 private:
  template <typename Answers, typename Visit>
  void visit_unanswered(const Value* value, const Answers& answers, const Visit& visit) const;
  std::vector<Value*> operands_of(const Value* value) const;
  void evaluate(const Value* value);
  bool is_source(const Value* value);

  const ExportedProgram& program_;
  std::function<bool(const Node&)> takes_;
  Creations creations_;
  LastingConstants lasting_;
  std::unordered_set<const Value*> written_;  // before the end of the program, with Creations::constant
  std::unordered_map<const Value*, bool> constant_;
  std::unordered_map<const Value*, std::optional<Tensor>> tensors_;
};

}  // namespace intaglio
