#include "backends/xnnpack/payload/payload_bytes.h"

namespace intaglio::xnnpack {
namespace {

DecodedValue decoded(const PayloadValue& value) {
  return {std::string(name(value.type)), value.dims, value.is_constant() ? value.data_key : ""};
}

// What its work is counted as.
void describe_work(const PayloadNode& node, DecodedNode& decoded) {
  const NodeForm form = info(node.kind).form;
  if (node.kind == NodeKind::BatchMatrixMultiply) decoded.op = "bmm";
  if (form == NodeForm::fully_connected) decoded.op = "linear";
  if (form != NodeForm::convolution) return;
  const auto& a = node.get<ConvolutionAttributes>();
  decoded.op = "convolution";
  decoded.transposed = node.kind == NodeKind::ConvTranspose2d;
  // As one output channel (of a transposed convolution: input channel) sees it.
  decoded.weight = {1, a.kernel_height, a.kernel_width, decoded.transposed ? a.group_output_channels : a.group_input_channels};
}

}  // namespace

DecodedPayload decode_payload(std::span<const std::byte> payload) {
  const PayloadGraph graph = read_payload(payload);
  const std::vector<std::string> texts = node_texts(graph);
  DecodedPayload result;
  result.needs = runtime_needs(graph);
  for (const PayloadNode& node : graph.nodes) {
    DecodedNode& decoded_node = result.nodes.emplace_back();
    decoded_node.kind = info(node.kind).name;
    decoded_node.text = texts[result.nodes.size() - 1];
    for (const ValueId id : node.inputs)
      if (id != invalid_id) decoded_node.inputs.push_back(decoded(graph.values[id]));
    decoded_node.output = decoded(graph.values[node.output]);
    if (node.clamps()) decoded_node.range = {node.output_min, node.output_max};
    if (node.clamps() && node.kind != NodeKind::Clamp) ++result.fused_clamps;
    describe_work(node, decoded_node);
  }
  return result;
}

}  // namespace intaglio::xnnpack
