// How the tensors of one node may lie: a set for each operand and result, of which those that must lie alike share one.
#pragma once

#include <optional>
#include <vector>

#include "backends/vulkan/op_table.h"

namespace intaglio::vulkan {

// The tensors that a node reads at one place of its schema: one, or those of a list.
struct Operand {
  size_t place = 0;
  std::vector<Value*> values;
};
std::vector<Operand> tensor_operands(const Node& node);

class OpRepresentations {
 public:
  OpRepresentations(const ExportedProgram& program, const Node& node, const OpRow& row, const TextureLimits& limits);

  // In the order of `tensor_operands` and of the node's results.
  const Representations& operand(size_t i) const { return sets_[operands_[i]]; }
  const Representations& result(size_t i) const { return sets_[results_[i]]; }
  bool possible() const;
  // True when how the operand lies decides how the first result lies.
  bool passes_on(size_t operand) const { return !results_.empty() && operands_[operand] == results_[0]; }
  bool results_alike() const { return results_alike_; }

  // Narrows the set and those that share it, unless nothing would be left.
  void narrow_operand(size_t i, Representations to) { narrow(operands_[i], to); }
  void narrow_result(Representations to) { narrow(results_[0], to); }

 private:
  void narrow(size_t set, Representations to);

  std::vector<Representations> sets_;
  std::vector<size_t> operands_, results_;  // indices of sets
  bool results_alike_ = true;
};

}  // namespace intaglio::vulkan
