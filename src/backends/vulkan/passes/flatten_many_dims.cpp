#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <string_view>

#include "backends/common/symbolic_views.h"
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
SymSizes three_dims(const SymSizes& sizes, size_t dim) {
  const auto product = [](auto first, auto end) { return std::accumulate(first, end, SymInt(1), std::multiplies<>()); };
  const auto apart = sizes.begin() + static_cast<ptrdiff_t>(dim);
  SymSizes flat = {product(sizes.begin(), apart), *apart};
  if (dim + 1 < sizes.size()) flat.push_back(product(apart + 1, sizes.end()));
  return flat;
}

void flatten(ExportedProgram& program, Node& node, const FlatRow& row) {
  Graph& graph = program.graph();
  Value* result = node.output();
  const size_t dim = apart_dim(node, row);
  const auto view = [&](Node* position, Value* value, const SymSizes& sizes) {
    decompose::GraphBuilder b(program, position, node);
    return common::view_copy(b, value, sizes);
  };
  for (Value* operand : node.inputs())
    if (operand->is_tensor() && operand->meta().rank() == result->meta().rank())
      graph.replace_uses_in(node, operand, view(&node, operand, three_dims(operand->sizes(), dim)));
  if (row.has_dim) graph.set_argument(node, "dim", int64_t{1});
  const SymSizes original = result->sizes();
  result->meta() = TensorMeta::contiguous(result->dtype(), three_dims(original, dim));
  Value* unfolded = view(graph.next(&node), result, original);
  graph.replace_uses_if(result, unfolded, [&](const Node& user) { return &user != unfolded->producer(); });
}

// A view can infer one size.
bool may_be_viewed(const Node& node) {
  const auto has_one_symbol = [](const Value* value) {
    return value->is_tensor() && std::ranges::count_if(value->sizes(), [](const SymInt& size) { return !size.is_static(); }) <= 1;
  };
  return std::ranges::all_of(node.inputs(), has_one_symbol) && std::ranges::all_of(node.outputs(), has_one_symbol);
}

}  // namespace

void flatten_many_dims(ExportedProgram& program) {
  for (Node* node : program.graph().node_list()) {
    const auto row = std::ranges::find(flat_ops, node->op().name(), &FlatRow::op);
    if (row != std::end(flat_ops) && node->output()->is_tensor() && node->output()->meta().rank() > 4 && may_be_viewed(*node))
      flatten(program, *node, *row);
  }
}

}  // namespace intaglio::vulkan
