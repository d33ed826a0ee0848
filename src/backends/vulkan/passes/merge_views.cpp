#include <algorithm>
#include <string_view>

#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {
namespace {

constexpr std::string_view view_op = "aten.view_copy.default";
// Each element of the result is made from the one element of the operand.
constexpr std::string_view elementwise_ops[] = {
    "aten.abs.default",
    "aten.clamp.default",
    "aten.neg.default",
    "aten.relu.default",
    "aten.round.default",
    "aten.sigmoid.default",
    "aten.sqrt.default",
    "aten.tanh.default",
    "aten.gelu.default",
    "aten.rsqrt.default",
    "aten.exp.default",
    "aten.clone.default",
    "dim_order_ops._to_dim_order_copy.default",
};

bool may_be_between(const Node& node) { return std::ranges::find(elementwise_ops, node.op().name()) != std::end(elementwise_ops); }

Node* only_reader(const Graph& graph, const Node& node) {
  if (!node.output()->has_one_user()) return nullptr;
  Node* reader = node.output()->users().front();
  return reader == &graph.output_node() ? nullptr : reader;
}

// The node that alone reads each, from the view on, as long as elements stay what they are; views among them.
std::vector<Node*> chain_behind(const Graph& graph, Node& view) {
  std::vector<Node*> chain;
  for (Node* node = only_reader(graph, view); node && (node->is(view_op) || may_be_between(*node)); node = only_reader(graph, *node))
    chain.push_back(node);
  const auto last_view = std::find_if(chain.rbegin(), chain.rend(), [](const Node* node) { return node->is(view_op); });
  chain.erase(last_view.base(), chain.end());
  return chain;
}

void merge(Graph& graph, Node& view, const std::vector<Node*>& chain) {
  const SymSizes sizes = chain.back()->output()->sizes();
  const auto resize = [&](Value& value) { value.meta() = TensorMeta::contiguous(value.dtype(), sizes); };
  graph.set_argument(view, "size", chain.back()->argument("size"));
  resize(*view.output());
  for (Node* node : chain) {
    if (!node->is(view_op)) {
      resize(*node->output());
      continue;
    }
    graph.replace_all_uses(node->output(), node->tensor("self"));
    graph.erase(node);
  }
}

}  // namespace

void merge_views(ExportedProgram& program) {
  Graph& graph = program.graph();
  std::unordered_map<const Node*, bool> merged;
  for (Node* node : graph.node_list()) {
    if (merged.contains(node) || !node->is(view_op)) continue;
    const std::vector<Node*> chain = chain_behind(graph, *node);
    if (chain.empty() || !chain.back()->argument("size").is<std::vector<int64_t>>()) continue;
    for (const Node* gone : chain) merged[gone] = true;
    merge(graph, *node, chain);
  }
}

}  // namespace intaglio::vulkan
