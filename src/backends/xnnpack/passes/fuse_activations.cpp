#include <algorithm>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

bool same_numbers(const PayloadValue& a, const PayloadValue& b) { return a.type == b.type && a.quantization == b.quantization; }

// clamp(clamp(x, a), b) is one clamp unless the ranges do not meet.
bool meet(PayloadNode& node, float low, float high) {
  const float min = std::clamp(node.output_min, low, high), max = std::clamp(node.output_max, low, high);
  if (!(min < max)) return false;
  node.output_min = min;
  node.output_max = max;
  return true;
}

}  // namespace

void fuse_activations(PayloadGraph& graph, const Features& features) {
  const Readers readers(graph);
  std::vector<size_t> makers = producers(graph);
  for (PayloadNode& clamp : graph.nodes) {
    if (clamp.kind != NodeKind::Clamp) continue;
    const ValueId input = clamp.inputs[0];
    const PayloadValue& before = graph.values[input];
    if (makers[input] == no_node || readers.count(input) != 1 || !same_numbers(before, graph.values[clamp.output])) continue;
    if (is_quantized(before.type) && !features.int8_activations) continue;
    PayloadNode* last = &graph.nodes[makers[input]];
    PayloadNode* target = last;
    // A 1-d convolution ends with a reshape.
    if (last->kind == NodeKind::StaticReshape) {
      const ValueId inner = last->inputs[0];
      if (makers[inner] == no_node || readers.count(inner) != 1) continue;
      target = &graph.nodes[makers[inner]];
      if (!same_numbers(graph.values[inner], before)) continue;
    }
    if (!info(target->kind).clamps_output || !meet(*target, clamp.output_min, clamp.output_max)) continue;
    last->output = clamp.output;
    makers[clamp.output] = static_cast<size_t>(last - graph.nodes.data());
    clamp.kind = NodeKind::none;
    clamp.inputs.clear();
  }
  std::erase_if(graph.nodes, [](const PayloadNode& node) { return node.kind == NodeKind::none; });
}

}  // namespace intaglio::xnnpack
