#include "backends/vulkan/passes/passes.h"
#include "backends/vulkan/symbols.h"

namespace intaglio::vulkan {

void fuse_symbol_reads(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!looks_at_element(*node)) continue;
    const ElementSource source = element_source(*node).value();
    graph.set_arguments(*node, {});
    graph.set_op(*node, Op::get("et_vk.select_as_symint.default"));
    graph.set_argument(*node, "x", source.tensor);
    graph.set_argument(*node, "dim", source.dim);
    graph.set_argument(*node, "index", source.index);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::vulkan
