// Small helpers that rewriting steps share.
#pragma once

#include <unordered_map>

#include <intaglio/program.h>

#include "ir/map_values.h"

namespace intaglio::decompose {

inline OutputSpecification description(const Value& value) {
  return {value.is_tensor() ? value.meta() : TensorMeta(), value.name(), value.kind(), value.sym, value.class_fqn};
}

// A copy of `node` in `graph`, before `position` (null: at the end); its operands are what `mapping` has for them, and its
// results are added there.
inline Node& copy_node(Graph& graph, Node* position, const Node& node, std::unordered_map<const Value*, Value*>& mapping) {
  std::vector<NamedArgument> arguments = node.arguments();
  for (NamedArgument& argument : arguments) argument.value = map_values(argument.value, [&](Value* value) { return mapping.at(value); });
  std::vector<OutputSpecification> outputs;
  for (const Value* output : node.outputs()) outputs.push_back(description(*output));
  Node& copy = graph.insert_before(position, node.op(), std::move(arguments), std::move(outputs), node.name(), node.output_groups());
  copy.metadata = node.metadata;
  copy.carried = node.carried;
  for (size_t i = 0; i < node.outputs().size(); ++i) mapping[node.output(i)] = copy.output(i);
  return copy;
}

// True when the value leaves the program: replacing it by a graph input would make the program return its input.
inline bool is_program_output(const Value* value) {
  for (const Node* user : value->users())
    if (user == &user->graph().output_node()) return true;
  return false;
}

// Lets `replacement` take the place and, when it is the result of a node, the name of `old`, whose node may then go.
inline void replace_result(Graph& graph, Value* old, Value* replacement) {
  graph.replace_all_uses(old, replacement);
  if (replacement->producer() && old->producer() != replacement->producer()) {
    const std::string name = old->name();
    graph.rename(old, name + "_replaced");
    graph.rename(replacement, name);
  }
}

}  // namespace intaglio::decompose
