// Small helpers that rewriting steps share.
#pragma once

#include <intaglio/program.h>

#include "ir/map_values.h"

namespace intaglio {

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
