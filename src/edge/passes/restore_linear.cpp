#include "edge/passes/passes.h"

#include "decompose/builder.h"
#include "decompose/recognize_linear.h"
#include "decompose/rewrite.h"

namespace intaglio::edge {
namespace {

bool is_plain_row(const Node& addmm) {
  const SymSizes& bias = addmm.tensor("self")->sizes();
  return bias.size() == 1 && bias[0] == addmm.output()->sizes()[1] && addmm.number("alpha") == 1 && addmm.number("beta") == 1;
}

}  // namespace

void restore_linear(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const bool with_bias = node->is("aten.addmm.default");
    if (!with_bias && !node->is("aten.mm.default")) continue;
    Value* weight = decompose::transposed_matrix(node->tensor("mat2"));
    if (!weight || !decompose::has_linear_kernel(node->output()->dtype())) continue;
    if (with_bias && !is_plain_row(*node)) continue;
    decompose::GraphBuilder build(program, *node);
    std::vector<Argument> arguments = {node->tensor(with_bias ? "mat1" : "self"), weight};
    if (with_bias) arguments.push_back(node->tensor("self"));
    decompose::replace_result(graph, node->output(), build.call("aten.linear.default", std::move(arguments)));
    graph.erase(node);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::edge
