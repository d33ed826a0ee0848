#include <algorithm>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {

Readers::Readers(const PayloadGraph& graph) : nodes_(graph.values.size()), outputs_(graph.values.size(), 0) {
  for (size_t index = 0; index < graph.nodes.size(); ++index)
    for (const ValueId input : graph.nodes[index].inputs)
      if (input != invalid_id) nodes_[input].push_back(index);
  for (const ValueId output : graph.outputs) outputs_[output] += 1;
}

std::vector<size_t> producers(const PayloadGraph& graph) {
  std::vector<size_t> result(graph.values.size(), no_node);
  for (size_t index = 0; index < graph.nodes.size(); ++index) result[graph.nodes[index].output] = index;
  return result;
}

void remove_unused(PayloadGraph& graph) {
  std::vector<bool> read(graph.values.size(), false);
  for (const ValueId output : graph.outputs) read[output] = true;
  std::vector<PayloadNode> kept;
  for (size_t index = graph.nodes.size(); index-- > 0;) {
    PayloadNode& node = graph.nodes[index];
    if (node.kind == NodeKind::none || !read[node.output]) continue;
    for (const ValueId input : node.inputs)
      if (input != invalid_id) read[input] = true;
    kept.push_back(std::move(node));
  }
  std::ranges::reverse(kept);
  graph.nodes = std::move(kept);
  compact_values(graph);
}

}  // namespace intaglio::xnnpack
