#include <optional>

#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {
namespace {

// The dimensions of size one that `to` lacks; none when that is not all there is between the two.
std::vector<int64_t> dropped_dims(const SymSizes& from, const SymSizes& to) {
  std::vector<int64_t> dropped;
  size_t kept = 0;
  for (size_t i = 0; i < from.size() && kept < to.size(); ++i) {
    if (from[i] == to[kept]) ++kept;
    else if (from[i] == SymInt(1)) dropped.push_back(static_cast<int64_t>(i));
    else return {};
  }
  const bool is_all = kept == to.size() && to.size() + dropped.size() == from.size();
  return is_all ? dropped : std::vector<int64_t>{};
}

// The one dimension that `to` has besides, -1 for the last.
std::optional<int64_t> added_dim(const SymSizes& from, const SymSizes& to) {
  if (to.size() != from.size() + 1) return std::nullopt;
  size_t dim = 0;
  while (dim < from.size() && from[dim] == to[dim]) ++dim;
  if (!(to[dim] == SymInt(1)) ||
      !std::equal(from.begin() + static_cast<ptrdiff_t>(dim), from.end(), to.begin() + static_cast<ptrdiff_t>(dim) + 1))
    return std::nullopt;
  return dim == from.size() ? -1 : static_cast<int64_t>(dim);
}

void rewrite(Graph& graph, Node& view, std::string_view op, std::string_view argument, Argument value) {
  Value* self = view.tensor("self");
  graph.set_arguments(view, {});
  graph.set_op(view, Op::get(op));
  graph.set_argument(view, "self", self);
  graph.set_argument(view, argument, std::move(value));
}

}  // namespace

void views_to_squeezes(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.view_copy.default")) continue;
    const SymSizes &from = node->tensor("self")->sizes(), &to = node->output()->sizes();
    if (const std::vector<int64_t> dropped = dropped_dims(from, to); !dropped.empty())
      rewrite(graph, *node, "aten.squeeze_copy.dims", "dim", dropped);
    else if (const auto added = added_dim(from, to); added && *added != 0)
      rewrite(graph, *node, "aten.unsqueeze_copy.default", "dim", *added);
  }
}

}  // namespace intaglio::vulkan
