#include "edge/passes/passes.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "edge/branches.h"
#include "edge/lower_checks.h"

namespace intaglio::edge {
namespace {

constexpr std::string_view row_major_ops[] = {
    "aten._adaptive_avg_pool2d.default", "aten.avg_pool2d.default", "aten.expand_copy.default", "aten.mean.dim", "aten.sum.dim_IntList",
};

bool is_row_major(const TensorMeta& meta) {
  const std::vector<uint8_t> order = meta.dim_order();
  return std::is_sorted(order.begin(), order.end());
}

void make_row_major(Value& value) {
  const TensorMeta& meta = value.meta();
  value.meta().strides = TensorMeta::contiguous(meta.dtype, meta.sizes).strides;
}

bool sets_its_order(const Node& node) {
  return node.op().name_space() == "dim_order_ops" || is_delegate_call(node) || node.op().name_space() == "higher_order";
}

Value* row_major_copy(Graph& graph, Node& node, Value* value) {
  std::vector<int64_t> order(value->meta().sizes.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  Node& copy = graph.insert_before(&node, Op::get("dim_order_ops._to_dim_order_copy.default"),
                                   {{"self", value}, {"dim_order", order, ArgKind::keyword}},
                                   {{TensorMeta::contiguous(value->dtype(), value->sizes())}});
  copy.metadata = node.metadata;
  return copy.output();
}

// A loop's body sees what is carried and sliced as row-major tensors.
void legalize_loop(Graph& graph, Node& node) {
  const ControlFlow flow = control_flow_of(node);
  std::vector<SymArg> operands = flow.carried;
  operands.insert(operands.end(), flow.sliced.begin(), flow.sliced.end());
  for (const SymArg& operand : operands) {
    Value* const* value = std::get_if<Value*>(&operand);
    if (value && (*value)->is_tensor() && !is_row_major((*value)->meta()))
      graph.replace_uses_in(node, *value, row_major_copy(graph, node, *value));
  }
}

}  // namespace

void legalize_dim_order(Graph& graph) {
  std::unordered_set<const Value*> changed;
  for (Node* node : graph.node_list()) {
    if (is_control_flow(*node)) legalize_loop(graph, *node);
    const bool row_major_only = std::find(std::begin(row_major_ops), std::end(row_major_ops), node->op().name()) != std::end(row_major_ops);
    const std::vector<Value*> inputs = node->inputs();
    bool becomes_row_major =
        !sets_its_order(*node) && std::any_of(inputs.begin(), inputs.end(), [&](const Value* input) { return changed.contains(input); });
    if (row_major_only && !is_row_major(node->tensor("self")->meta())) {
      Value* self = node->tensor("self");
      graph.set_argument(*node, "self", row_major_copy(graph, *node, self));
      becomes_row_major = true;
    }
    if (!becomes_row_major) continue;
    for (Value* output : node->outputs()) {
      if (!output->is_tensor() || is_row_major(output->meta())) continue;
      make_row_major(*output);
      changed.insert(output);
    }
  }
}

}  // namespace intaglio::edge
