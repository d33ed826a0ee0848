#include "edge/passes/passes.h"

#include <fmt/format.h>

namespace intaglio::edge {
namespace {

Op copy_form(Op op) {
  const std::string_view base = op.base() == "_unsafe_view" ? "view" : op.base();
  return Op::get(fmt::format("{}.{}_copy.{}", op.name_space(), base, op.overload()));
}

}  // namespace

void views_to_copies(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const OpSchema* schema = node->op().schema();
    if (!schema || (!schema->is_view() && !node->is("aten._unsafe_view.default"))) continue;
    const Op copy = copy_form(node->op());
    if (copy.schema()) graph.set_op(*node, copy);
  }
}

}  // namespace intaglio::edge
