#include "backends/common/symbolic_views.h"

#include <algorithm>

namespace intaglio::common {

void infer_symbolic_view_sizes(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.view_copy.default")) continue;
    const Argument* size = node->find("size");
    if (!size || !size->is<std::vector<SymArg>>()) continue;
    std::vector<int64_t> sizes;
    for (const SymInt& dim : node->output()->sizes()) sizes.push_back(dim.is_static() ? dim.value() : -1);
    if (std::ranges::count(sizes, -1) <= 1) graph.set_argument(*node, "size", sizes);
  }
}

}  // namespace intaglio::common
