#include "backends/vulkan/op_representations.h"

#include <algorithm>

#include <intaglio/error.h>

namespace intaglio::vulkan {
namespace {

std::vector<int64_t> largest_sizes(const ExportedProgram& program, const Value& value) {
  std::vector<int64_t> sizes;
  for (const SymInt& size : value.sizes()) sizes.push_back(common::upper_bound(program, size).value_or(INT32_MAX));
  return sizes;
}

}  // namespace

std::vector<Operand> tensor_operands(const Node& node) {
  std::vector<Operand> operands;
  const OpSchema* schema = node.op().schema();
  for (const NamedArgument& argument : node.arguments()) {
    Operand operand;
    for (Value* value : values_in(argument.value))
      if (value->is_tensor()) operand.values.push_back(value);
    if (operand.values.empty()) continue;
    operand.place = schema ? schema->index_of(argument.name).value_or(0) : 0;
    operands.push_back(std::move(operand));
  }
  return operands;
}

// Sets start as the table says, held to what each tensor's sizes allow; then those that must be alike become one.
OpRepresentations::OpRepresentations(const ExportedProgram& program, const Node& node, const OpRow& row, const TextureLimits& limits) {
  const Storages storages = row.storages_for(node);
  const std::vector<Operand> operands = tensor_operands(node);
  const auto add = [&](Representations set) {
    sets_.push_back(set);
    return sets_.size() - 1;
  };
  std::optional<size_t> shared, primary;
  for (const Operand& operand : operands) {
    Representations set = storages.operands.at(operand.place);
    if (set.empty()) {  // read as bytes
      operands_.push_back(add(representations::any));
      continue;
    }
    for (const Value* value : operand.values) set = that_fit(set, largest_sizes(program, *value), limits);
    if (storages.operands.alike() && shared) {
      sets_[*shared] = sets_[*shared] & set;
      operands_.push_back(*shared);
    } else {
      operands_.push_back(add(set));
      shared = operands_.back();
    }
    if (!primary) primary = operands_.size() - 1;
  }
  results_alike_ = storages.results.alike();
  const bool primary_decides = primary && storages.operands.at(operands[*primary].place) == storages.results.at(0);
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    const Value& value = *node.outputs()[i];
    if (!value.is_tensor()) continue;
    const Representations set = that_fit(storages.results.at(i), largest_sizes(program, value), limits);
    std::optional<size_t> same;
    if (results_.empty() && primary_decides) same = operands_[*primary];
    if (!results_.empty() && results_alike_) same = results_[0];
    if (same) sets_[*same] = sets_[*same] & set;
    results_.push_back(same ? *same : add(set));
  }
}

bool OpRepresentations::possible() const {
  return std::ranges::none_of(sets_, [](const Representations& set) { return set.empty(); });
}

void OpRepresentations::narrow(size_t set, Representations to) {
  const Representations narrowed = sets_[set] & to;
  if (!narrowed.empty()) sets_[set] = narrowed;
}

}  // namespace intaglio::vulkan
