#include <algorithm>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

bool pads_images_with_zero(const PayloadNode& node) {
  if (node.kind != NodeKind::StaticConstantPad) return false;
  const auto& a = node.get<PadAttributes>();
  return a.value == 0 && a.pre.size() == 4 && a.pre[0] == 0 && a.pre[1] == 0 && a.post[0] == 0 && a.post[1] == 0;
}

bool reads_padding(const PayloadNode& node, ValueId value) {
  return (node.kind == NodeKind::Conv2d || node.kind == NodeKind::DepthwiseConv2d) && node.inputs[0] == value;
}

void widen(PayloadNode& convolution, const PadAttributes& pad) {
  auto& a = convolution.get<ConvolutionAttributes>();
  a.padding_top += pad.pre[2];
  a.padding_bottom += pad.post[2];
  a.padding_left += pad.pre[3];
  a.padding_right += pad.post[3];
}

// Every reader of the value is a convolution that can pad by itself.
bool only_convolutions(const PayloadGraph& graph, const Readers& readers, ValueId value) {
  return !readers.is_output(value) && readers.count(value) > 0 &&
         std::ranges::all_of(readers.nodes(value), [&](size_t n) { return reads_padding(graph.nodes[n], value); });
}

void fold(PayloadGraph& graph, const Readers& readers, const PayloadNode& pad, ValueId padded, ValueId unpadded) {
  for (const size_t reader : readers.nodes(padded)) {
    widen(graph.nodes[reader], pad.get<PadAttributes>());
    graph.nodes[reader].inputs[0] = unpadded;
  }
}

// pad -> Convert -> convolutions: the Convert moves in front of the padding and loses it.
bool fold_behind_convert(PayloadGraph& graph, const Readers& readers, const PayloadNode& pad, size_t convert_index) {
  PayloadNode& convert = graph.nodes[convert_index];
  if (convert.kind != NodeKind::Convert || !only_convolutions(graph, readers, convert.output)) return false;
  for (const size_t reader : readers.nodes(convert.output)) widen(graph.nodes[reader], pad.get<PadAttributes>());
  convert.inputs[0] = pad.inputs[0];
  graph.values[convert.output].dims = graph.values[pad.inputs[0]].dims;
  return true;
}

}  // namespace

void fold_pads(PayloadGraph& graph) {
  // Indices of nodes stay as they are: folded pads are only left without readers. What a folded pad was read by reads then what
  // stands before it, whose readers nobody asks for any more.
  const Readers readers(graph);
  for (size_t index = 0; index < graph.nodes.size(); ++index) {
    const PayloadNode pad = graph.nodes[index];
    if (!pads_images_with_zero(pad)) continue;
    if (only_convolutions(graph, readers, pad.output)) {
      fold(graph, readers, pad, pad.output, pad.inputs[0]);
      continue;
    }
    for (const size_t reader : readers.nodes(pad.output)) fold_behind_convert(graph, readers, pad, reader);
  }
  remove_unused(graph);
}

}  // namespace intaglio::xnnpack
