#include "pt2e/constant_values.h"

#include <algorithm>

#include <intaglio/interpreter.h>

namespace intaglio {
namespace {

// Same arguments, same result, nothing else changed. Factories of fresh memory and random ops take no tensors or are
// marked by their names; higher-order ops have no schema.
bool is_pure(const Node& node) {
  const OpSchema* schema = node.op().schema();
  if (schema == nullptr || schema->is_inplace()) return false;
  const std::string_view base = node.op().base();
  const bool random = base.find("rand") != std::string_view::npos || base.find("dropout") != std::string_view::npos ||
                      base.find("bernoulli") != std::string_view::npos || base == "normal" || base == "multinomial";
  return !random && !node.inputs().empty();
}

}  // namespace

bool ConstantValues::is_constant(const Value* value) {
  // Iterative: chains may be as long as the graph. A value waits on the stack until its inputs are known.
  std::vector<const Value*> stack = {value};
  while (!stack.empty()) {
    const Value* top = stack.back();
    if (constant_.contains(top)) {
      stack.pop_back();
      continue;
    }
    const Node* producer = top->producer();
    if (producer == nullptr) {
      constant_[top] = program_.is_constant(top);
      continue;
    }
    if (!is_pure(*producer)) {
      constant_[top] = false;
      continue;
    }
    const std::vector<Value*> inputs = producer->inputs();
    const auto unknown = std::find_if(inputs.begin(), inputs.end(), [&](const Value* v) { return !constant_.contains(v); });
    if (unknown != inputs.end()) {
      stack.push_back(*unknown);
      continue;
    }
    constant_[top] = std::all_of(inputs.begin(), inputs.end(), [&](const Value* v) { return constant_.at(v); });
  }
  return constant_.at(value);
}

const Tensor* ConstantValues::find(const Value* value) {
  if (value->producer() == nullptr) return program_.is_constant(value) ? program_.constant(value) : nullptr;
  if (!is_constant(value)) return nullptr;
  if (!tensors_.contains(value)) {
    // Producers first: collect them in reverse, then run them in order.
    std::vector<const Node*> pending = {value->producer()};
    for (size_t i = 0; i < pending.size(); ++i)
      for (const Value* input : pending[i]->inputs())
        if (input->producer() != nullptr && !tensors_.contains(input)) pending.push_back(input->producer());
    for (auto node = pending.rbegin(); node != pending.rend(); ++node)
      if (!tensors_.contains((*node)->outputs().front())) evaluate(**node);
  }
  const auto& tensor = tensors_.at(value);
  return tensor ? &*tensor : nullptr;
}

void ConstantValues::evaluate(const Node& node) {
  std::vector<Tensor> inputs;
  for (const Value* input : node.inputs()) {
    const Tensor* tensor = nullptr;
    if (input->producer() == nullptr) {
      tensor = program_.constant(input);
    } else if (const auto known = tensors_.find(input); known != tensors_.end() && known->second) {
      tensor = &*known->second;
    }
    if (tensor == nullptr) break;
    inputs.push_back(*tensor);
  }
  std::optional<std::vector<Tensor>> outputs;
  if (inputs.size() == node.inputs().size()) outputs = evaluate_node(node, inputs);
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    auto& slot = tensors_[node.outputs()[i]];
    if (outputs && i < outputs->size()) slot = (*outputs)[i];
  }
}

}  // namespace intaglio
