#include "edge/passes/passes.h"

#include "decompose/builder.h"
#include "decompose/permutation.h"
#include "decompose/rewrite.h"

namespace intaglio::edge {
namespace {

Value* transposed_operand(const Value* matrix) {
  const Node* producer = matrix->producer();
  if (!producer || producer->outputs().size() != 1) return nullptr;
  const auto order = decompose::permutation_of(*producer);
  return order && *order == std::vector<int64_t>{1, 0} ? producer->tensor("self") : nullptr;
}

bool is_plain_row(const Node& addmm) {
  const std::vector<SymInt>& bias = addmm.tensor("self")->sizes();
  return bias.size() == 1 && bias[0] == addmm.output()->sizes()[1] && addmm.number("alpha") == 1 && addmm.number("beta") == 1;
}

}  // namespace

void restore_linear(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const bool with_bias = node->is("aten.addmm.default");
    if (!with_bias && !node->is("aten.mm.default")) continue;
    Value* weight = transposed_operand(node->tensor("mat2"));
    const DType dtype = node->output()->dtype();
    if (!weight || (dtype != DType::float32 && dtype != DType::float16 && dtype != DType::bfloat16)) continue;
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
