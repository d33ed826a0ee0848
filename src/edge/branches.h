// Lowering of what stands inside `torch.cond`.
#pragma once

#include <functional>

#include <intaglio/program.h>

namespace intaglio {

// Hands every branch of every `cond` to `lower` as a program of its own, in which operands that are constants outside are
// constants too, and puts the result back: what the branches made of their constants becomes operands. Nested conditions
// are the business of `lower`. Refuses branches that write to their operands.
void lower_branches(ExportedProgram& program, const std::function<void(ExportedProgram&)>& lower);

// The branches of a condition: the one taken when the predicate holds first. Refuses any other form.
struct Condition {
  Argument predicate;
  const Graph* branches[2] = {};
  std::vector<SymArg> operands;
};
Condition condition_of(const Node& node);

// Calls `visit(graph)` for the graph and for every sub-graph in it.
template <typename Visit>
void for_each_graph(Graph& graph, const Visit& visit) {
  visit(graph);
  for (const Node* node : graph.node_list())
    for (const NamedArgument& argument : node->arguments())
      if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) for_each_graph(*(*subgraph)->graph, visit);
}

}  // namespace intaglio
