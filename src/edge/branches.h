// Lowering of what stands inside `torch.cond`.
#pragma once

#include <unordered_map>

#include <intaglio/program.h>

namespace intaglio {

// A branch while it is lowered as a program of its own, in which operands that are constants outside are constants too.
struct Branch {
  const Node* condition = nullptr;  // where it stands
  ExportedProgram program;
  std::unordered_map<const Value*, size_t> operand_of;  // for each of its user inputs the operand that it stands for
};

// Two branches for each `cond` of the graph, the one taken when the predicate holds first. Nested ones stay inside.
std::vector<Branch> take_branches(const ExportedProgram& program);

// Puts the lowered branches of `node` in place of what stands there: what they made of their constants becomes operands.
// Refuses branches that write to their operands.
void put_branches(ExportedProgram& program, Node& node, const Branch& taken, const Branch& other);

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
