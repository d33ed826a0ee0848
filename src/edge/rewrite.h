// Small helpers that rewriting steps share.
#pragma once

#include <intaglio/program.h>

namespace intaglio {

// The argument with every value replaced by what `replace(value)` gives; sub-graphs are kept as they are.
template <typename Replace> Argument map_values(const Argument& argument, const Replace& replace) {
  if (Value* const* single = argument.get_if<Value*>()) return *single ? Argument(replace(*single)) : argument;
  if (const auto* list = argument.get_if<std::vector<Value*>>()) {
    std::vector<Value*> result = *list;
    for (Value*& value : result)
      if (value) value = replace(value);
    return result;
  }
  if (const auto* lists = argument.get_if<std::vector<std::vector<Value*>>>()) {
    std::vector<std::vector<Value*>> result = *lists;
    for (auto& inner : result)
      for (Value*& value : inner)
        if (value) value = replace(value);
    return result;
  }
  if (const auto* symbols = argument.get_if<std::vector<SymArg>>()) {
    std::vector<SymArg> result = *symbols;
    for (SymArg& item : result)
      if (Value** value = std::get_if<Value*>(&item)) *value = replace(*value);
    return result;
  }
  return argument;
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

}  // namespace intaglio
