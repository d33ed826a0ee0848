#include "backends/common/symbolic_views.h"

#include <algorithm>

namespace intaglio::common {

void infer_symbolic_view_sizes(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.view_copy.default")) continue;
    const Argument* size = node->find("size");
    if (!size || !size->is<std::vector<SymArg>>()) continue;
    const std::vector<int64_t> sizes = inferred_sizes(node->output()->sizes());
    if (std::ranges::count(sizes, -1) <= 1) graph.set_argument(*node, "size", sizes);
  }
}

std::vector<int64_t> inferred_sizes(const SymSizes& sizes) {
  std::vector<int64_t> inferred;
  for (const SymInt& size : sizes) inferred.push_back(size.is_static() ? size.value() : -1);
  return inferred;
}

Value* view_copy(decompose::GraphBuilder& b, Value* value, const SymSizes& sizes) {
  Value* view = b("aten.view_copy.default", value, inferred_sizes(sizes));
  view->meta() = TensorMeta::contiguous(value->dtype(), sizes);
  return view;
}

}  // namespace intaglio::common
