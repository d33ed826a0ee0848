#include "edge/passes/passes.h"

namespace intaglio::edge {
namespace {

void erase_from(Graph& graph) {
  for (Node* node : graph.node_list()) {
    for (const NamedArgument& argument : node->arguments())
      if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) erase_from(*(*subgraph)->graph);
    const std::string_view base = node->op().base();
    if (!base.starts_with("_assert") && !base.starts_with("sym_constrain_range")) continue;
    bool used = false;
    for (const Value* output : node->outputs()) used = used || !output->users().empty();
    if (!used) graph.erase(node);
  }
  graph.eliminate_dead_code();
}

}  // namespace

void erase_asserts(ExportedProgram& program) { erase_from(program.graph()); }

}  // namespace intaglio::edge
