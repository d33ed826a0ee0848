#include "edge/passes/passes.h"

namespace intaglio::edge {

void erase_asserts(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const std::string_view base = node->op().base();
    if (!base.starts_with("_assert") && !base.starts_with("sym_constrain_range")) continue;
    bool used = false;
    for (const Value* output : node->outputs()) used = used || !output->users().empty();
    if (!used) graph.erase(node);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::edge
