#include <utility>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

// Inputs of a BatchNorm: value, factor, mean, offset.
struct Statistics {
  std::span<const float> factor, mean, offset;
};

Statistics statistics_of(const PayloadGraph& graph, const PayloadNode& norm) {
  return {graph.values[norm.inputs[1]].data.span<float>(), graph.values[norm.inputs[2]].data.span<float>(),
          graph.values[norm.inputs[3]].data.span<float>()};
}

ValueId add_constant(PayloadGraph& graph, const std::string& name, Tensor data, DataType type = DataType::fp32) {
  PayloadValue value;
  value.name = name;
  value.type = type;
  value.dims = data.sizes();
  value.role = PayloadValue::Role::constant;
  value.data = std::move(data);
  return graph.add_value(std::move(value));
}

// The dimension of the filter that counts output channels.
int64_t channel_dim(const PayloadNode& node) {
  if (node.kind == NodeKind::DepthwiseConv2d) return 3;
  return node.kind == NodeKind::FullyConnected && (node.flags & flags::transpose_weights) ? 1 : 0;
}

bool takes_batch_norm(const PayloadGraph& graph, const PayloadNode& node, size_t channels) {
  const NodeForm form = info(node.kind).form;
  if ((form != NodeForm::convolution && form != NodeForm::fully_connected) || node.clamps()) return false;
  const PayloadValue& filter = graph.values[node.inputs[1]];
  if (form == NodeForm::fully_connected && graph.values[node.output].dims.size() != 2) return false;
  return filter.is_constant() && filter.type == DataType::fp32 &&
         filter.dims[static_cast<size_t>(channel_dim(node))] == static_cast<int64_t>(channels) &&
         (node.inputs[2] == invalid_id || graph.values[node.inputs[2]].type == DataType::fp32);
}

void fold_into(PayloadGraph& graph, const Readers& readers, PayloadNode& node, const Statistics& s) {
  const ValueId filter = node.inputs[1];
  const std::string name = graph.values[filter].name;
  const int64_t axis = channel_dim(node);
  // In place where nobody else reads the filter: a model's float weights stand in memory once.
  Tensor weights = readers.count(filter) <= 1 ? std::exchange(graph.values[filter].data, {}) : graph.values[filter].data;
  float* w = weights.mutable_data<float>();
  int64_t inner = 1;
  for (int64_t dim = axis + 1; dim < weights.rank(); ++dim) inner *= weights.size(dim);
  const auto channels = static_cast<int64_t>(s.factor.size());
  for (int64_t i = 0; i < weights.numel(); ++i) w[i] *= s.factor[static_cast<size_t>(i / inner % channels)];

  Tensor bias = Tensor::zeros(DType::float32, {channels});
  float* b = bias.mutable_data<float>();
  const float* old = node.inputs[2] == invalid_id ? nullptr : graph.values[node.inputs[2]].data.data<float>();
  for (size_t c = 0; c < s.factor.size(); ++c) b[c] = ((old ? old[c] : 0.0f) - s.mean[c]) * s.factor[c] + s.offset[c];
  node.inputs[1] = add_constant(graph, name, std::move(weights));
  node.inputs[2] = add_constant(graph, name, std::move(bias));
}

// offset - mean * factor, in double.
Tensor shift_of(const Statistics& s, Sizes sizes) {
  Tensor shift = Tensor::empty(DType::float32, std::move(sizes));
  for (size_t c = 0; c < s.factor.size(); ++c)
    shift.mutable_data<float>()[c] = static_cast<float>(s.offset[c] - double{s.mean[c]} * s.factor[c]);
  return shift;
}

PayloadNode as_depthwise(PayloadGraph& graph, const PayloadNode& norm) {
  const Statistics s = statistics_of(graph, norm);
  const auto channels = static_cast<int64_t>(s.factor.size());
  const std::string name = graph.values[norm.inputs[1]].name;
  const Tensor filter = Tensor::of<float>(s.factor, {1, 1, 1, channels});
  const Tensor bias = shift_of(s, {channels});
  PayloadNode node = norm;
  node.kind = NodeKind::DepthwiseConv2d;
  const ValueId filter_id = add_constant(graph, name, filter);
  node.inputs = {norm.inputs[0], filter_id, add_constant(graph, name, bias)};
  ConvolutionAttributes attributes;
  attributes.groups = static_cast<uint32_t>(channels);
  attributes.group_input_channels = attributes.group_output_channels = 1;
  node.attributes = attributes;
  return node;
}

// Channels are dimension 1: constants [C] for [N, C], [C, 1] for [N, C, L] and so on.
void as_multiply_add(PayloadGraph& graph, const PayloadNode& norm, std::vector<PayloadNode>& nodes) {
  const Statistics s = statistics_of(graph, norm);
  const PayloadValue input = graph.values[norm.inputs[0]];
  const std::string name = graph.values[norm.inputs[1]].name;
  Sizes sizes(input.dims.size() - 1, 1);
  sizes[0] = static_cast<int64_t>(s.factor.size());
  const auto typed = [&](Tensor data) {
    return add_constant(graph, name, input.type == DataType::fp16 ? converted(data, DType::float16) : data, input.type);
  };
  const Tensor factor = Tensor::of<float>(s.factor, sizes), shift = shift_of(s, sizes);
  const ValueId factor_id = typed(factor), shift_id = typed(shift);
  PayloadValue scaled = graph.values[norm.output];
  scaled.role = PayloadValue::Role::internal;
  scaled.external_id = invalid_id;
  const ValueId scaled_id = graph.add_value(std::move(scaled));
  PayloadNode multiply = norm, add = norm;
  multiply.kind = NodeKind::Multiply;
  multiply.inputs = {norm.inputs[0], factor_id};
  multiply.output = scaled_id;
  add.kind = NodeKind::Add;
  add.inputs = {scaled_id, shift_id};
  nodes.push_back(std::move(multiply));
  nodes.push_back(std::move(add));
}

// The node behind `value`, seen through the reshape that ends a 1-d convolution; no_node when others read it too.
size_t sole_maker(const PayloadGraph& graph, const Readers& readers, const std::vector<size_t>& makers, ValueId value, size_t& reshape) {
  reshape = no_node;
  size_t maker = makers[value];
  if (readers.count(value) != 1 || maker == no_node) return no_node;
  if (graph.nodes[maker].kind != NodeKind::StaticReshape) return maker;
  const ValueId inner = graph.nodes[maker].inputs[0];
  if (readers.count(inner) != 1) return no_node;
  reshape = maker;
  return makers[inner];
}

}  // namespace

void fold_batch_norms(PayloadGraph& graph) {
  const Readers readers(graph);
  const std::vector<size_t> makers = producers(graph);
  std::vector<PayloadNode> nodes;
  std::vector<size_t> moved(graph.nodes.size(), no_node);  // old index to index in `nodes`
  for (size_t index = 0; index < graph.nodes.size(); ++index) {
    const PayloadNode node = graph.nodes[index];
    if (node.kind != NodeKind::BatchNorm) {
      moved[index] = nodes.size();
      nodes.push_back(node);
      continue;
    }
    const Statistics s = statistics_of(graph, node);
    size_t reshape = no_node;
    const size_t maker = sole_maker(graph, readers, makers, node.inputs[0], reshape);
    const bool reshape_fits = reshape == no_node || graph.values[node.inputs[0]].dims.size() == 3;
    if (maker != no_node && moved[maker] != no_node && reshape_fits && takes_batch_norm(graph, nodes[moved[maker]], s.factor.size())) {
      fold_into(graph, readers, nodes[moved[maker]], s);
      nodes[moved[reshape == no_node ? maker : reshape]].output = node.output;
      moved[index] = moved[reshape == no_node ? maker : reshape];
    } else if (graph.values[node.inputs[0]].dims.size() == 4) {
      nodes.push_back(as_depthwise(graph, node));
    } else {
      as_multiply_add(graph, node, nodes);
    }
  }
  graph.nodes = std::move(nodes);
}

}  // namespace intaglio::xnnpack
