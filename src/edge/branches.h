// Lowering of what stands inside control flow: branches of `torch.cond`, bodies of `scan`, `map` and `while_loop`.
#pragma once

#include <span>
#include <unordered_map>

#include <intaglio/program.h>

namespace intaglio::edge {

// What a node of control flow runs, and on what.
struct ControlFlow {
  enum class Kind { cond, scan, map, while_loop };
  Kind kind = Kind::cond;
  Argument predicate;                // of a condition
  std::vector<const Graph*> bodies;  // cond: taken when the predicate holds, other; while_loop: condition, body; else one
  // Every body takes these in this order.
  std::vector<SymArg> carried;  // first values of what an iteration hands to the next; an output of the body each
  std::vector<SymArg> sliced;   // tensors of which an iteration sees one part, along the first dimension
  std::vector<SymArg> shared;   // the same every time

  bool is_loop() const { return kind != Kind::cond; }
  std::vector<SymArg> operands() const;
};
bool is_control_flow(const Node& node);
// Refuses any other form than PyTorch's.
ControlFlow control_flow_of(const Node& node);

// A body while it is lowered as a program of its own, in which shared operands that are constants outside are constants too.
struct Branch {
  const Node* owner = nullptr;  // where it stands
  ExportedProgram program;
  std::unordered_map<const Value*, size_t> operand_of;  // for each of its user inputs the operand that it stands for
};

// The bodies of every such node of the graph, in the nodes' order. Nested ones stay inside.
std::vector<Branch> take_branches(const ExportedProgram& program);

// Puts the lowered bodies of `node` in place of what stands there: what they made of their constants becomes operands.
// Refuses bodies that write to their operands.
void put_branches(ExportedProgram& program, Node& node, std::span<const Branch* const> bodies);

// Calls `visit(graph)` for the graph and for every sub-graph in it.
template <typename Visit>
void for_each_graph(Graph& graph, const Visit& visit) {
  visit(graph);
  for (const Node* node : graph.node_list())
    for (const NamedArgument& argument : node->arguments())
      if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) for_each_graph(*(*subgraph)->graph, visit);
}

}  // namespace intaglio::edge
