// What a backend asks of a node, as rows of a text and a condition; and the conditions that every backend has.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "backends/common/program_facts.h"

namespace intaglio::common {

// `Context` is the backend's: it has `const ProgramFacts& facts`, `const Node& node` and what its own conditions look at.
template <typename Context>
struct Constraint {
  std::string_view text;  // what is required, for the refusal
  bool (*holds)(const Context&);
};

// The first row that the node breaks, or null.
template <typename Context>
const Constraint<Context>* first_broken(std::span<const Constraint<Context>> rows, const Context& context) {
  const auto broken = std::ranges::find_if(rows, [&](const Constraint<Context>& row) { return !row.holds(context); });
  return broken == rows.end() ? nullptr : &*broken;
}

// Tensors that the node reads, and its first result.
std::vector<const Value*> tensors_of(const Node& node);
template <typename Holds>
bool every_tensor(const Node& node, Holds holds) {
  return std::ranges::all_of(tensors_of(node), [&](const Value* value) { return holds(*value); });
}

// ---- conditions

template <typename Context>
bool has_tensor_result(const Context& c) {
  return !c.node.outputs().empty() && c.node.output()->is_tensor();
}
template <typename Context>
bool only_first_result_is_used(const Context& c) {
  return std::ranges::all_of(c.node.outputs().begin() + 1, c.node.outputs().end(), [](const Value* v) { return v->users().empty(); });
}
// A size computed outside would have to be an argument of the delegate, which takes tensors only.
template <typename Context>
bool reads_tensors_only(const Context& c) {
  return std::ranges::all_of(c.node.inputs(), [](const Value* value) { return value->is_tensor(); });
}
template <typename Context>
bool has_float32_result(const Context& c) {
  return c.node.output()->dtype() == DType::float32;
}
// Of the first operand and the result.
template <typename Context>
bool has_static_sizes(const Context& c) {
  return c.node.inputs().front()->meta().is_static() && c.node.output()->meta().is_static();
}

}  // namespace intaglio::common
