#include "edge/passes/dim_order_legalization.h"

#include <algorithm>
#include <unordered_set>

#include "edge/lower_checks.h"

namespace intaglio {
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

}  // namespace

void legalize_dim_order(Graph& graph) {
  std::unordered_set<const Value*> changed;
  for (Node* node : graph.node_list()) {
    const bool row_major_only = std::find(std::begin(row_major_ops), std::end(row_major_ops), node->op().name()) != std::end(row_major_ops);
    const std::vector<Value*> inputs = node->inputs();
    bool becomes_row_major =
        !sets_its_order(*node) && std::any_of(inputs.begin(), inputs.end(), [&](const Value* input) { return changed.contains(input); });
    if (row_major_only && !is_row_major(node->tensor("self")->meta())) {
      Value* self = node->tensor("self");
      std::vector<int64_t> order(self->meta().sizes.size());
      for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
      Node& copy = graph.insert_before(node, Op::get("dim_order_ops._to_dim_order_copy.default"),
                                       {{"self", self}, {"dim_order", order, ArgKind::keyword}},
                                       {{TensorMeta::contiguous(self->dtype(), self->sizes())}});
      copy.metadata = node->metadata;
      graph.set_argument(*node, "self", copy.output());
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

}  // namespace intaglio
