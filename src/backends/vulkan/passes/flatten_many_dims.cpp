#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <string_view>

#include "backends/vulkan/passes/passes.h"
#include "decompose/builder.h"

namespace intaglio::vulkan {
namespace {

struct FlatRow {
  std::string_view op;
  bool has_dim = false;  // an argument names the dimension that it treats apart
};
constexpr FlatRow flat_ops[] = {
    {"aten.abs.default"},
    {"aten.clamp.default"},
    {"aten.cos.default"},
    {"aten.exp.default"},
    {"aten.gelu.default"},
    {"aten.hardswish.default"},
    {"aten.hardtanh.default"},
    {"aten.leaky_relu.default"},
    {"aten.neg.default"},
    {"aten.relu.default"},
    {"aten.round.default"},
    {"aten.rsqrt.default"},
    {"aten.sigmoid.default"},
    {"aten.sin.default"},
    {"aten.sqrt.default"},
    {"aten.tanh.default"},
    {"aten.linear.default"},
    {"aten._softmax.default", true},
    {"aten._log_softmax.default", true},
    {"aten.cat.default", true},
};

// The dimension that stays as it is: a linear's is the last.
size_t apart_dim(const Node& node, const FlatRow& row) {
  const int64_t rank = node.output()->meta().rank();
  const int64_t dim = row.has_dim ? node.integer("dim") : -1;
  return static_cast<size_t>(dim < 0 ? dim + rank : dim);
}

// [all before, the dimension, all behind].
std::vector<int64_t> three_dims(const Sizes& sizes, size_t dim) {
  const auto product = [&](size_t first, size_t end) {
    return std::accumulate(sizes.begin() + static_cast<ptrdiff_t>(first), sizes.begin() + static_cast<ptrdiff_t>(end), int64_t{1},
                           std::multiplies<>());
  };
  std::vector<int64_t> flat = {product(0, dim), sizes[dim]};
  if (dim + 1 < sizes.size()) flat.push_back(product(dim + 1, sizes.size()));
  return flat;
}

void flatten(ExportedProgram& program, Node& node, const FlatRow& row) {
  Graph& graph = program.graph();
  Value* result = node.output();
  const size_t dim = apart_dim(node, row);
  const auto view = [&](Node* position, Value* value, const std::vector<int64_t>& sizes) {
    return decompose::GraphBuilder(program, position, node)("aten.view_copy.default", value, sizes);
  };
  for (Value* operand : node.inputs())
    if (operand->is_tensor() && operand->meta().rank() == result->meta().rank())
      graph.replace_uses_in(node, operand, view(&node, operand, three_dims(operand->meta().static_sizes(), dim)));
  if (row.has_dim) graph.set_argument(node, "dim", int64_t{1});
  const Sizes original = result->meta().static_sizes();
  const std::vector<int64_t> flat = three_dims(original, dim);
  result->meta() = TensorMeta::contiguous(result->dtype(), {flat.begin(), flat.end()});
  Value* unfolded = view(graph.next(&node), result, original);
  graph.replace_uses_if(result, unfolded, [&](const Node& user) { return &user != unfolded->producer(); });
}

bool has_static_tensors(const Node& node) {
  const auto is_static = [](const Value* value) { return value->is_tensor() && value->meta().is_static(); };
  return std::ranges::all_of(node.inputs(), is_static) && std::ranges::all_of(node.outputs(), is_static);
}

}  // namespace

void flatten_many_dims(ExportedProgram& program) {
  for (Node* node : program.graph().node_list()) {
    const auto row = std::ranges::find(flat_ops, node->op().name(), &FlatRow::op);
    if (row != std::end(flat_ops) && node->output()->is_tensor() && node->output()->meta().rank() > 4 && has_static_tensors(*node))
      flatten(program, *node, *row);
  }
}

}  // namespace intaglio::vulkan
