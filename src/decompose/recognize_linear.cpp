#include "decompose/recognize_linear.h"

#include "decompose/builder.h"
#include "decompose/permutation.h"
#include "decompose/rewrite.h"
#include "ir/mutations.h"

namespace intaglio::decompose {

Value* transposed_matrix(const Value* matrix) {
  const Node* producer = matrix->producer();
  if (!producer || producer->outputs().size() != 1) return nullptr;
  const auto order = permutation_of(*producer);
  return order && *order == std::vector<int64_t>{1, 0} ? producer->tensor("self") : nullptr;
}

bool has_linear_kernel(DType dtype) { return dtype == DType::float32 || dtype == DType::float16 || dtype == DType::bfloat16; }

void recognize_linear(ExportedProgram& program, const std::function<bool(const Node&)>& take) {
  Graph& graph = program.graph();
  const LastingConstants constants(program);
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.matmul.default") || node->tensor("self")->meta().rank() < 2 || (take && !take(*node))) continue;
    Value* weight = transposed_matrix(node->tensor("other"));
    if (!weight || !constants.find(weight) || !has_linear_kernel(node->output()->dtype())) continue;
    GraphBuilder build(program, *node);
    replace_result(graph, node->output(), build("aten.linear.default", node->tensor("self"), weight));
    graph.erase(node);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::decompose
