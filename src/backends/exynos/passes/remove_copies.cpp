#include <algorithm>
#include <string_view>

#include "backends/exynos/passes/passes.h"

namespace intaglio::exynos {
namespace {

constexpr std::string_view copies[] = {"aten.clone.default",
                                       "aten.alias.default",
                                       "aten.alias_copy.default",
                                       "aten.lift_fresh_copy.default",
                                       "dim_order_ops._clone_dim_order.default",
                                       "dim_order_ops._to_dim_order_copy.default"};

}  // namespace

void remove_copies(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (std::ranges::find(copies, node->op().name()) == std::end(copies)) continue;
    Value *source = node->tensor("self"), *copy = node->output();
    if (source->dtype() != copy->dtype() || source->sizes() != copy->sizes()) continue;
    graph.replace_all_uses(copy, source);
    graph.erase(node);
  }
}

}  // namespace intaglio::exynos
