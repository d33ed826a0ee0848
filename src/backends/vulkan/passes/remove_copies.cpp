#include <algorithm>
#include <string_view>

#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {
namespace {

struct CopyRow {
  std::string_view op, source;
  bool is_in_runtime;
};
constexpr CopyRow copies[] = {
    {"aten.clone.default", "self", true},
    {"aten.alias_copy.default", "self", false},
    {"aten.copy.default", "src", false},
    {"aten.expand_copy.default", "self", true},
    {"dim_order_ops._clone_dim_order.default", "self", false},
    {"dim_order_ops._to_dim_order_copy.default", "self", true},
};

bool is_result(const Graph& graph, const Value& value) {
  return std::ranges::find(value.users(), &graph.output_node()) != value.users().end();
}

// A result of the delegate is a tensor of its own.
bool may_go(const Graph& graph, const Value& copy, const Value& source) {
  return !is_result(graph, copy) || (source.producer() != nullptr && !is_result(graph, source));
}

void remove(Graph& graph, Node& node, const CopyRow& row) {
  Value* source = node.tensor(row.source);
  Value* copy = node.output();
  if (source->dtype() == copy->dtype() && source->sizes() == copy->sizes()) {
    if (may_go(graph, *copy, *source)) {
      graph.replace_all_uses(copy, source);
      graph.erase(&node);
      return;
    }
  } else if (row.is_in_runtime) {
    return;
  }
  graph.set_arguments(node, {});
  graph.set_op(node, Op::get("aten.clone.default"));
  graph.set_argument(node, "self", source);
}

}  // namespace

void remove_copies(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    for (const CopyRow& row : copies)
      if (node->is(row.op)) {
        remove(program.graph(), *node, row);
        break;
      }
}

}  // namespace intaglio::vulkan
