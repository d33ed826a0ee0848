// Expanded tensors and choices by a constant mask, both as binary nodes that broadcast.
#include <algorithm>
#include <limits>
#include <span>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// A node that broadcasts its operands, the other of which has the result's sizes already.
bool broadcasts(const Node& node, const Value& expanded) {
  constexpr NodeKind kinds[] = {NodeKind::Add, NodeKind::Subtract, NodeKind::Multiply, NodeKind::Div, NodeKind::Minimum, NodeKind::Maximum};
  const OpRule* rule = find_rule(node);
  if (!rule || std::ranges::find(kinds, rule->kind) == std::end(kinds)) return false;
  const Argument* second = node.find("other");
  if (!second || !second->is<Value*>()) return false;
  const Value *left = node.tensor("self"), *right = node.tensor("other");
  if (left == right) return false;
  return (left == &expanded ? right : left)->sizes() == node.output()->sizes();
}

ValueId number(Lowering& lowering, Tensor floats, DataType type) {
  if (type == DataType::fp16) floats = converted(floats, DType::float16);
  return lowering.constant(std::move(floats), "mask", type);
}

Tensor filled(const Sizes& sizes, float value) {
  Tensor tensor = Tensor::empty(DType::float32, sizes);
  std::fill_n(tensor.mutable_data<float>(), tensor.numel(), value);
  return tensor;
}

}  // namespace

// Multiplying by ones copies; where every reader broadcasts by itself nothing is done.
void expand(Lowering& lowering, const Node& node, NodeKind kind) {
  Value* output = node.output();
  const ValueId input = lowering.operand("self");
  if (std::ranges::all_of(output->users(), [&](const Node* user) { return broadcasts(*user, *output); })) return lowering.alias(input);
  const std::vector<int64_t> dims = lowering.value(input).dims, wanted = lowering.dims_of(output);
  Sizes ones = wanted;
  const size_t added = wanted.size() - dims.size();
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims[i] == wanted[added + i]) ones[added + i] = 1;
  lowering.emit(kind, {input, number(lowering, filled(ones, 1), lowering.value(input).type)});
}

// where(mask, x, c) with a constant mask and number is min(max(x, low), high): c where the mask excludes x, else no bound.
void where(Lowering& lowering, const Node& node, NodeKind) {
  const common::ProgramFacts& facts = lowering.facts();
  const Tensor mask = facts.constant_value(node.tensor("condition"))->contiguous();
  const bool takes_self = !facts.is_constant(node.tensor("self"));
  const ValueId input = lowering.operand(takes_self ? "self" : "other");
  const float fill = converted(*facts.constant_value(node.tensor(takes_self ? "other" : "self")), DType::float32).data<float>()[0];
  Tensor low = filled(mask.sizes(), -infinity), high = filled(mask.sizes(), infinity);
  const bool* taken = mask.data<bool>();
  float *lows = low.mutable_data<float>(), *highs = high.mutable_data<float>();
  for (int64_t i = 0; i < mask.numel(); ++i)
    if (taken[i] != takes_self) lows[i] = highs[i] = fill;
  const bool fills_nothing =
      std::ranges::none_of(std::span(low.data<float>(), static_cast<size_t>(low.numel())), [](float bound) { return bound != -infinity; });
  if (fills_nothing && fill != -infinity && lowering.value(input).dims == lowering.dims_of(node.output())) return lowering.alias(input);
  const DataType type = lowering.value(input).type;
  if (fill == -infinity) return lowering.emit(NodeKind::Minimum, {input, number(lowering, high, type)});
  if (fill == infinity) return lowering.emit(NodeKind::Maximum, {input, number(lowering, low, type)});
  const ValueId raised = lowering.intermediate(input, lowering.dims_of(node.output()));
  lowering.emit_to(raised, NodeKind::Maximum, {input, number(lowering, low, type)});
  lowering.emit(NodeKind::Minimum, {raised, number(lowering, high, type)});
}

}  // namespace intaglio::xnnpack::lower
