#include "backends/xnnpack/payload/payload_bytes.h"

#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <xnnpack_schema/schema_generated.h>

#include "base/equal_blobs.h"
#include "base/sha256.h"

namespace intaglio::xnnpack {
namespace {

namespace fb = ::fb_xnnpack;
using Builder = flatbuffers::FlatBufferBuilder;
using AnyOffset = flatbuffers::Offset<void>;

// The constants of a payload: entry 0 stands for "not constant".
class Constants {
 public:
  explicit Constants(Builder& builder) : builder_(builder) {
    entries_.push_back(fb::CreateConstantDataOffset(builder_, 0, 0, builder_.CreateString("")));
  }

  uint32_t index_of(const NamedData& constant) {
    const auto& [key, data] = constant;
    const auto [known, is_new] = indices_.try_emplace(key, static_cast<uint32_t>(entries_.size()));
    if (is_new) {
      entries_.push_back(fb::CreateConstantDataOffset(builder_, ~uint64_t{0}, data.size(), builder_.CreateString(key)));
      named_data_.push_back(constant);
    }
    return known->second;
  }

  // In the payload itself, where it stays as long as the payload does.
  uint32_t inside(const Blob& data) {
    constexpr size_t alignment = 16;
    const auto [known, is_new] = inside_indices_.try_emplace(lowercase_hex(data.digest()), static_cast<uint32_t>(entries_.size()));
    if (is_new) {
      entries_.push_back(fb::CreateConstantDataOffset(builder_, inside_.size(), data.size()));
      const std::vector<std::byte> bytes = data.bytes();
      inside_.insert(inside_.end(), bytes.begin(), bytes.end());
      // The microkernels read whole vectors.
      inside_.resize((inside_.size() + 2 * alignment - 1) / alignment * alignment);
    }
    return known->second;
  }

  auto table() { return builder_.CreateVector(entries_); }
  std::vector<NamedData> take_named_data() { return std::move(named_data_); }
  std::span<const std::byte> inside_bytes() const { return inside_; }

 private:
  Builder& builder_;
  std::vector<flatbuffers::Offset<fb::ConstantDataOffset>> entries_;
  std::map<std::string, uint32_t> indices_, inside_indices_;
  std::vector<NamedData> named_data_;
  std::vector<std::byte> inside_;
};

struct QuantizationWriter {
  Builder& builder;
  std::pair<fb::XNNQuantParams, AnyOffset> operator()(const std::monostate&) const {
    throw_bug("a quantized value of an XNNPACK payload has no quantization parameters");
  }
  std::pair<fb::XNNQuantParams, AnyOffset> operator()(const PerTensor& q) const {
    return {fb::XNNQuantParams::PerTensorQuant, fb::CreatePerTensorQuant(builder, q.scale, q.zero_point).Union()};
  }
  // Scales stand in the flatbuffer itself: they are packed with the weights, and a blob each would be padded to 128 bytes.
  std::pair<fb::XNNQuantParams, AnyOffset> operator()(const PerChannel& q) const {
    const auto scale = builder.CreateVector(q.scale);
    return {fb::XNNQuantParams::PerChannelQuant,
            fb::CreatePerChannelQuant(builder, scale, q.channel_dim, 0, static_cast<uint32_t>(q.scale.size())).Union()};
  }
  std::pair<fb::XNNQuantParams, AnyOffset> operator()(const PerToken& q) const {
    return {fb::XNNQuantParams::PerTokenDynamicQuant, fb::CreatePerTokenDynamicQuant(builder, q.num_nonbatch_dims).Union()};
  }
  // Only a buffer keeps bfloat16 scales exact (the inline form is float and is truncated by the runtime).
  std::pair<fb::XNNQuantParams, AnyOffset> operator()(const PerGroup& q) const {
    const auto empty = builder.CreateVector(std::vector<float>{});
    return {fb::XNNQuantParams::PerChannelGroupQuant, fb::CreatePerChannelGroupQuant(builder, empty, q.channel_dim, q.group_size,
                                                                                     scale_buffer, static_cast<uint32_t>(q.scale.numel()))
                                                          .Union()};
  }
  uint32_t scale_buffer = 0;
};

std::vector<uint32_t> unsigned_dims(const std::vector<int64_t>& dims) { return {dims.begin(), dims.end()}; }

// What a value that is constant is written as.
struct ConstantBytes {
  NamedData data;
  NamedData group_scale;  // of weights in groups
};

// The name of a filter, of that of its bytes: a runtime that keeps packed weights (`weight_cache_enabled`) finds them by it, in other
// programs and from a file of former runs too, and packs scales and what it knows of input and output into them.
std::string name_of_packed(const std::string& packing, const PayloadValue& filter, const ConstantBytes& bytes) {
  Sha256Hasher hasher;
  const auto add = [&](std::string_view text) { hasher.add(std::as_bytes(std::span(text))); };
  add(fmt::format("{} {}[{}] {} ", packing, name(filter.type), fmt::join(filter.dims, ", "), bytes.data.key));
  if (const auto* q = std::get_if<PerTensor>(&filter.quantization)) add(fmt::format("scale={} zero_point={}", q->scale, q->zero_point));
  if (const auto* q = std::get_if<PerGroup>(&filter.quantization))
    add(fmt::format("groups of {}: {}", q->group_size, bytes.group_scale.key));
  if (const auto* q = std::get_if<PerChannel>(&filter.quantization)) {
    add(fmt::format("channel_dim={} ", q->channel_dim));
    hasher.add(std::as_bytes(std::span(q->scale)));
  }
  return lowercase_hex(hasher.digest());
}

// Each node has a filter of its own, whatever else has the same bytes.
void name_filters(const PayloadGraph& graph, std::vector<ConstantBytes>& constants) {
  std::vector<bool> is_named(graph.values.size(), false);
  for (const PayloadNode& node : graph.nodes) {
    const std::optional<std::string> packing = packing_of(graph, node);
    if (!packing) continue;
    const ValueId filter = node.inputs[1];
    if (is_named[filter]) throw_bug(fmt::format("{}: another node has packed filter '{}'", node.origin, graph.values[filter].name));
    constants[filter].data.key = name_of_packed(*packing, graph.values[filter], constants[filter]);
    is_named[filter] = true;
  }
}

// By graph and value. Weights are named together, so that few of them need be computed for it.
std::vector<std::vector<ConstantBytes>> constants_of(const std::vector<PayloadGraph>& graphs) {
  std::vector<std::vector<ConstantBytes>> constants;
  std::vector<NamedData*> all;
  for (const PayloadGraph& graph : graphs) {
    std::vector<ConstantBytes>& own = constants.emplace_back(graph.values.size());
    for (ValueId id = 0; id < graph.values.size(); ++id) {
      const PayloadValue& value = graph.values[id];
      const auto take = [&](NamedData& constant, const Tensor& tensor) {
        constant.data = Blob(tensor);
        all.push_back(&constant);
      };
      if (value.is_constant()) take(own[id].data, value.data);
      if (const auto* group = std::get_if<PerGroup>(&value.quantization)) take(own[id].group_scale, group->scale);
    }
  }
  std::vector<Blob> blobs;
  for (const NamedData* constant : all) blobs.push_back(constant->data);
  const std::vector<Sha256> names = names_of(blobs);
  for (size_t i = 0; i < all.size(); ++i) all[i]->key = lowercase_hex(names[i]);
  for (size_t i = 0; i < graphs.size(); ++i) name_filters(graphs[i], constants[i]);
  return constants;
}

flatbuffers::Offset<fb::XValue> write_value(Builder& builder, Constants& constants, const PayloadValue& value, const ConstantBytes& bytes,
                                            ValueId id, bool inside) {
  constexpr uint32_t external_input = 1, external_output = 2;
  uint32_t value_flags = 0;
  if (value.role == PayloadValue::Role::input) value_flags = external_input;
  if (value.role == PayloadValue::Role::output) value_flags = external_output;
  // XNNPACK has no rank 0.
  const std::vector<uint32_t> dims = value.dims.empty() ? std::vector<uint32_t>{1} : unsigned_dims(value.dims);
  const uint32_t buffer = !value.is_constant() ? 0 : inside ? constants.inside(bytes.data.data) : constants.index_of(bytes.data);
  const auto dims_offset = builder.CreateVector(dims);
  const auto tensor = fb::CreateXNNTensorValue(builder, static_cast<fb::XNNDatatype>(value.type), static_cast<uint32_t>(dims.size()),
                                               dims_offset, buffer, value.is_external() ? value.external_id : invalid_id, value_flags, id);
  if (!is_quantized(value.type)) return fb::CreateXValue(builder, fb::XValueUnion::XNNTensorValue, tensor.Union());

  QuantizationWriter writer{builder};
  if (std::holds_alternative<PerGroup>(value.quantization)) writer.scale_buffer = constants.index_of(bytes.group_scale);
  const auto [type, params] = std::visit(writer, value.quantization);
  const auto quantized = fb::CreateXNNQuantizedTensorValue(builder, tensor, type, params);
  return fb::CreateXValue(builder, fb::XValueUnion::XNNQuantizedTensorValue, quantized.Union());
}

ValueId input_or_none(const PayloadNode& node, size_t index) { return index < node.inputs.size() ? node.inputs[index] : invalid_id; }

AnyOffset write_convolution(Builder& builder, const PayloadNode& node) {
  const auto& a = node.get<ConvolutionAttributes>();
  return fb::Create_XNNNodeConv(builder, a.padding_top, a.padding_right, a.padding_bottom, a.padding_left, a.kernel_height, a.kernel_width,
                                a.subsampling_height, a.subsampling_width, a.dilation_height, a.dilation_width, a.group_input_channels,
                                a.group_output_channels, a.groups, a.adjustment_height, a.adjustment_width, node.inputs[0], node.inputs[1],
                                input_or_none(node, 2), node.output, node.flags)
      .Union();
}

AnyOffset write_pooling(Builder& builder, const PayloadNode& node) {
  const auto& a = node.get<PoolingAttributes>();
  return fb::Create_XNNPooling2D(builder, a.padding_top, a.padding_right, a.padding_bottom, a.padding_left, a.pooling_height,
                                 a.pooling_width, a.stride_height, a.stride_width, a.dilation_height, a.dilation_width, node.inputs[0],
                                 node.output, node.flags)
      .Union();
}

AnyOffset write_slice(Builder& builder, const PayloadNode& node) {
  const auto& a = node.get<SliceAttributes>();
  const auto offsets = builder.CreateVector(a.offsets);
  const auto sizes = builder.CreateVector(a.sizes);
  return fb::CreateXNNStaticSlice(builder, static_cast<uint32_t>(a.offsets.size()), offsets, sizes, node.inputs[0], node.output, node.flags)
      .Union();
}

AnyOffset write_pad(Builder& builder, const PayloadNode& node) {
  const auto& a = node.get<PadAttributes>();
  const auto pre = builder.CreateVector(a.pre);
  const auto post = builder.CreateVector(a.post);
  return fb::CreateXNNStaticConstantPad(builder, pre, post, a.value, node.inputs[0], node.output, node.flags).Union();
}

AnyOffset write_node_table(Builder& builder, const PayloadNode& node) {
  switch (info(node.kind).form) {
    case NodeForm::unary: return fb::Create_XNNNode1x1(builder, node.inputs[0], node.output, node.flags).Union();
    case NodeForm::binary: return fb::Create_XNNNode2x1(builder, node.inputs[0], node.inputs[1], node.output, node.flags).Union();
    case NodeForm::concatenate:
      return fb::Create_XNNCat(builder, node.get<ConcatenateAttributes>().axis, input_or_none(node, 0), input_or_none(node, 1),
                               input_or_none(node, 2), input_or_none(node, 3), node.output, node.flags, input_or_none(node, 4))
          .Union();
    case NodeForm::convolution: return write_convolution(builder, node);
    case NodeForm::pooling: return write_pooling(builder, node);
    case NodeForm::fully_connected:
      return fb::CreateXNNFullyConnected(builder, node.inputs[0], node.inputs[1], input_or_none(node, 2), node.output, node.flags).Union();
    case NodeForm::transpose: {
      const auto& dims = node.get<DimsAttributes>().dims;
      const auto permutation = builder.CreateVector(dims);
      return fb::CreateXNNStaticTranspose(builder, static_cast<uint32_t>(dims.size()), permutation, node.inputs[0], node.output, node.flags)
          .Union();
    }
    case NodeForm::reshape: {
      const auto& dims = node.get<DimsAttributes>().dims;
      const auto shape = builder.CreateVector(dims);
      return fb::CreateXNNStaticReshape(builder, static_cast<uint32_t>(dims.size()), shape, node.inputs[0], node.output, node.flags)
          .Union();
    }
    case NodeForm::slice: return write_slice(builder, node);
    case NodeForm::pad: return write_pad(builder, node);
    case NodeForm::resize: {
      const auto& a = node.get<ResizeAttributes>();
      return fb::CreateXNNStaticResizeBilinear2D(builder, a.new_height, a.new_width, node.inputs[0], node.output, node.flags).Union();
    }
    case NodeForm::elu:
      return fb::CreateXNNELU(builder, node.get<ScalarAttributes>().value, node.inputs[0], node.output, node.flags).Union();
    case NodeForm::leaky_relu:
      return fb::CreateXNNLeakyReLU(builder, node.get<ScalarAttributes>().value, node.inputs[0], node.output, node.flags).Union();
    case NodeForm::unsupported: break;
  }
  throw_bug(fmt::format("{} ({}) cannot be written into an XNNPACK payload", info(node.kind).name, node.origin));
}

flatbuffers::Offset<fb::XNode> write_node(Builder& builder, const PayloadNode& node) {
  const AnyOffset table = write_node_table(builder, node);
  flatbuffers::Offset<fb::OutputMinMax> bounds = 0;
  if (node.clamps()) bounds = fb::CreateOutputMinMax(builder, node.output_min, node.output_max);
  return fb::CreateXNode(builder, static_cast<fb::XNodeUnion>(node.kind), table, node.debug_handle, bounds);
}

WrittenPayload write_one(const PayloadGraph& graph, const std::vector<ConstantBytes>& bytes, bool constants_inside) {
  Builder builder(64 * 1024);
  Constants constants(builder);
  std::vector<flatbuffers::Offset<fb::XValue>> values;
  const std::vector<bool> lasting = lasting_constants(graph);
  for (ValueId id = 0; id < graph.values.size(); ++id)
    values.push_back(write_value(builder, constants, graph.values[id], bytes[id], id, constants_inside && lasting[id]));
  std::vector<flatbuffers::Offset<fb::XNode>> nodes;
  for (const PayloadNode& node : graph.nodes) nodes.push_back(write_node(builder, node));

  const auto version = builder.CreateString("0");
  const auto nodes_offset = builder.CreateVector(nodes);
  const auto values_offset = builder.CreateVector(values);
  const auto inputs = builder.CreateVector(graph.inputs);
  const auto outputs = builder.CreateVector(graph.outputs);
  const auto constant_data = constants.table();
  const auto externals = static_cast<uint32_t>(graph.inputs.size() + graph.outputs.size());
  fb::FinishXNNGraphBuffer(builder,
                           fb::CreateXNNGraph(builder, version, nodes_offset, values_offset, externals, inputs, outputs, constant_data));

  WrittenPayload result;
  result.bytes = common::with_payload_header(payload_format, std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())),
                                             constants.inside_bytes());
  result.named_data = constants.take_named_data();
  return result;
}

}  // namespace

std::vector<WrittenPayload> write_payloads(const std::vector<PayloadGraph>& graphs, const std::vector<bool>& constants_inside) {
  const std::vector<std::vector<ConstantBytes>> constants = constants_of(graphs);
  std::vector<WrittenPayload> payloads;
  for (size_t i = 0; i < graphs.size(); ++i) payloads.push_back(write_one(graphs[i], constants[i], constants_inside[i]));
  return payloads;
}

WrittenPayload write_payload(const PayloadGraph& graph, bool constants_inside) {
  return std::move(write_payloads({graph}, {constants_inside}).front());
}

}  // namespace intaglio::xnnpack
