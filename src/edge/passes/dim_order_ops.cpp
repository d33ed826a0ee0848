#include "edge/passes/passes.h"

#include <numeric>

namespace intaglio::edge {
namespace {

std::vector<int64_t> row_major(const Value* value) {
  std::vector<int64_t> order(value->sizes().size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace

void dim_order_ops(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const bool casts = node->is("aten._to_copy.default");
    if (!casts && !node->is("aten.clone.default")) continue;
    std::vector<NamedArgument> arguments = {{"self", node->tensor("self"), ArgKind::positional}};
    if (casts) arguments.push_back({"dtype", node->output()->dtype(), ArgKind::keyword});
    arguments.push_back({"dim_order", row_major(node->output()), ArgKind::keyword});
    graph.set_op(*node, Op::get(casts ? "dim_order_ops._to_dim_order_copy.default" : "dim_order_ops._clone_dim_order.default"));
    graph.set_arguments(*node, std::move(arguments));
  }
}

}  // namespace intaglio::edge
