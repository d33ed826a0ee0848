#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

bool is_elementwise(NodeKind kind) {
  const NodeKindInfo& row = info(kind);
  if (row.layout != LayoutNeed::any) return false;
  return row.form == NodeForm::unary || row.form == NodeForm::elu || row.form == NodeForm::leaky_relu;
}

}  // namespace

void cancel_reshapes(PayloadGraph& graph) {
  // reshape -> elementwise becomes elementwise -> reshape, so that the reshape meets the next one.
  const Readers readers(graph);
  std::vector<size_t> makers = producers(graph);
  for (size_t index = 0; index < graph.nodes.size(); ++index) {
    PayloadNode& node = graph.nodes[index];
    // Rows that are quantized at run time belong to the product that reads them: nothing comes in between.
    if (!is_elementwise(node.kind) || graph.values[node.output].type == DataType::qdint8) continue;
    const ValueId input = node.inputs[0];
    if (makers[input] == no_node || readers.count(input) != 1) continue;
    PayloadNode& reshape = graph.nodes[makers[input]];
    // Only the reshape behind a 1-d convolution: others would only trade places.
    if (reshape.kind != NodeKind::StaticReshape || graph.values[reshape.inputs[0]].dims.size() != 4 || graph.values[input].dims.size() != 3)
      continue;
    PayloadValue moved = graph.values[node.output];
    moved.role = PayloadValue::Role::internal;
    moved.external_id = invalid_id;
    moved.dims = graph.values[reshape.inputs[0]].dims;
    const ValueId moved_id = graph.add_value(std::move(moved));
    PayloadNode after = reshape;
    after.output = node.output;
    after.inputs = {moved_id};
    PayloadNode before = node;
    before.inputs[0] = reshape.inputs[0];
    before.output = moved_id;
    graph.nodes[makers[input]] = std::move(before);
    makers.push_back(makers[input]);  // of moved_id
    makers[node.output] = index;
    graph.nodes[index] = std::move(after);
  }
  // A reshape back to where the value came from.
  makers = producers(graph);
  std::vector<ValueId> same(graph.values.size());
  for (ValueId id = 0; id < same.size(); ++id) same[id] = id;
  for (PayloadNode& node : graph.nodes) {
    for (ValueId& input : node.inputs)
      if (input != invalid_id) input = same[input];
    if (node.kind != NodeKind::StaticReshape) continue;
    const size_t maker = makers[node.inputs[0]];
    if (maker == no_node || graph.nodes[maker].kind != NodeKind::StaticReshape) continue;
    const ValueId origin = graph.nodes[maker].inputs[0];
    const bool internal = graph.values[node.output].role == PayloadValue::Role::internal;
    if (internal && graph.values[origin].dims == graph.values[node.output].dims) same[node.output] = origin;
    else node.inputs[0] = origin;  // the sizes in between do not matter
  }
  remove_unused(graph);
}

}  // namespace intaglio::xnnpack
