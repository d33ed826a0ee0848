#include "backends/xnnpack/payload/payload.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/sha256.h"

namespace intaglio::xnnpack {
namespace {

using enum NodeForm;
constexpr LayoutNeed any = LayoutNeed::any, nhwc = LayoutNeed::nhwc, nchw = LayoutNeed::nchw;
using I = NodeInt8;

// One row per node kind, in the order of the enumeration. Only those kinds whose output bounds were seen to work are
// marked as clamping.
constexpr NodeKindInfo kinds[] = {
    {"none", unsupported, 0, any, I::none, false},
    {"Add", binary, 2, any, I::computes, true},
    {"FullyConnected", fully_connected, 3, nchw, I::computes, true},
    {"Softmax", unary, 1, nchw, I::none, false},
    {"Sigmoid", unary, 1, any, I::computes, false},
    {"StaticTranspose", transpose, 1, any, I::moves, false},
    {"Clamp", unary, 1, any, I::computes, true},
    {"Conv2d", convolution, 3, nhwc, I::computes, true},
    {"Div", binary, 2, any, I::none, false},
    {"StaticResizeBilinear2D", resize, 1, nhwc, I::none, false},
    {"StaticConstantPad", pad, 1, any, I::moves, false},
    {"AvgPooling2d", pooling, 1, nhwc, I::none, false},
    {"Minimum", binary, 2, any, I::none, false},
    {"DepthwiseConv2d", convolution, 3, nhwc, I::computes, true},
    {"MaxPooling2d", pooling, 1, nhwc, I::moves, false},
    {"Multiply", binary, 2, any, I::computes, true},
    {"Subtract", binary, 2, any, I::computes, true},
    {"Floor", unary, 1, any, I::none, false},
    {"Convert", unary, 1, any, I::computes, false},
    {"GlobalAvgPooling2d", unary, 1, nhwc, I::computes, false},
    {"StaticReshape", reshape, 1, nchw, I::moves, false},
    {"ArgMaxPooling2d", unsupported, 1, nhwc, I::none, false},
    {"SquareRoot", unary, 1, any, I::none, false},
    {"Ceiling", unary, 1, any, I::none, false},
    {"Hardswish", unary, 1, any, I::computes, false},
    {"LeakyReLU", leaky_relu, 1, any, I::computes, false},
    {"Maximum", binary, 2, any, I::none, false},
    {"Negate", unary, 1, any, I::none, false},
    {"Square", unary, 1, any, I::computes, false},
    {"ELU", elu, 1, any, I::computes, false},
    {"Abs", unary, 1, any, I::computes, false},
    {"PReLU", binary, 2, nhwc, I::none, false},
    {"Concatenate2", concatenate, 2, any, I::moves, false},
    {"Concatenate3", concatenate, 3, any, I::moves, false},
    {"Concatenate4", concatenate, 4, any, I::moves, false},
    {"StaticSlice", slice, 1, any, I::moves, false},
    {"ScaledDotProductAttention", unsupported, 5, nchw, I::none, false},
    {"BatchMatrixMultiply", binary, 2, nchw, I::none, false},
    {"Concatenate5", concatenate, 5, any, I::moves, false},
    {"ConvTranspose2d", convolution, 3, nhwc, I::computes, true},
    {"ReciprocalSquareRoot", unary, 1, any, I::none, false},
    {"Log", unary, 1, any, I::none, false},
    {"Gelu", unary, 1, any, I::computes, false},
    {"Tanh", unary, 1, any, I::computes, false},
    {"Exp", unary, 1, any, I::computes, false},
    {"Sin", unary, 1, any, I::none, false, RuntimeVersion::v1_1},
    {"Copy", unary, 1, any, I::moves, false, RuntimeVersion::v1_1},
    {"Cos", unary, 1, any, I::none, false, RuntimeVersion::v1_1},
    {"BatchNorm", unsupported, 3, nhwc, I::none, true},
};
static_assert(std::size(kinds) == static_cast<size_t>(NodeKind::BatchNorm) + 1);

constexpr std::string_view type_names[] = {"invalid", "fp32",   "fp16",   "qint8",  "quint8", "qint32", "qcint8", "qcint32",
                                           "qcint4",  "qdint8", "qbint4", "qpint8", "int32",  "pfp32",  "bf16"};

std::string digest_text(std::span<const std::byte> bytes) { return key_of(bytes).substr(0, 8); }
std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return tensor.defined() ? std::span(static_cast<const std::byte*>(tensor.raw()), tensor.nbytes()) : std::span<const std::byte>();
}

// Scales by value would hide differences in the last bits; a few are shown exactly, many as a digest.
std::string scales_text(const std::vector<float>& scales) {
  if (scales.size() <= 4) return fmt::format("[{}]", fmt::join(scales, ", "));
  return fmt::format("[{} values #{}]", scales.size(), digest_text(std::as_bytes(std::span(scales))));
}

struct QuantizationText {
  std::string operator()(const std::monostate&) const { return ""; }
  std::string operator()(const PerTensor& q) const { return fmt::format(" scale={} zero_point={}", q.scale, q.zero_point); }
  std::string operator()(const PerChannel& q) const { return fmt::format(" channel_dim={} scale={}", q.channel_dim, scales_text(q.scale)); }
  std::string operator()(const PerToken& q) const { return fmt::format(" nonbatch_dims={}", q.num_nonbatch_dims); }
  std::string operator()(const PerGroup& q) const {
    const std::string scale =
        q.scale.defined() ? fmt::format(" scale=[{} values #{}]", q.scale.numel(), digest_text(bytes_of(q.scale))) : "";
    return fmt::format(" channel_dim={} group_size={}{}", q.channel_dim, q.group_size, scale);
  }
};

struct AttributesText {
  std::string operator()(const std::monostate&) const { return ""; }
  std::string operator()(const ConvolutionAttributes& a) const {
    std::string text =
        fmt::format(" kernel={}x{} stride={}x{} padding={},{},{},{} dilation={}x{} groups={} channels={}->{}", a.kernel_height,
                    a.kernel_width, a.subsampling_height, a.subsampling_width, a.padding_top, a.padding_right, a.padding_bottom,
                    a.padding_left, a.dilation_height, a.dilation_width, a.groups, a.group_input_channels, a.group_output_channels);
    if (a.adjustment_height != 0 || a.adjustment_width != 0)
      text += fmt::format(" adjustment={}x{}", a.adjustment_height, a.adjustment_width);
    return text;
  }
  std::string operator()(const PoolingAttributes& a) const {
    return fmt::format(" window={}x{} stride={}x{} padding={},{},{},{} dilation={}x{}", a.pooling_height, a.pooling_width, a.stride_height,
                       a.stride_width, a.padding_top, a.padding_right, a.padding_bottom, a.padding_left, a.dilation_height,
                       a.dilation_width);
  }
  std::string operator()(const DimsAttributes& a) const { return fmt::format(" dims=[{}]", fmt::join(a.dims, ", ")); }
  std::string operator()(const SliceAttributes& a) const {
    return fmt::format(" offsets=[{}] sizes=[{}]", fmt::join(a.offsets, ", "), fmt::join(a.sizes, ", "));
  }
  std::string operator()(const PadAttributes& a) const {
    return fmt::format(" pre=[{}] post=[{}] value={}", fmt::join(a.pre, ", "), fmt::join(a.post, ", "), a.value);
  }
  std::string operator()(const ResizeAttributes& a) const { return fmt::format(" size={}x{}", a.new_height, a.new_width); }
  std::string operator()(const ConcatenateAttributes& a) const { return fmt::format(" axis={}", a.axis); }
  std::string operator()(const ScalarAttributes& a) const { return fmt::format(" value={}", a.value); }
};

bool packs_constants(const PayloadNode& node) {
  const NodeForm form = info(node.kind).form;
  return form == NodeForm::convolution || form == NodeForm::fully_connected;
}

std::string id_text(ValueId id) { return id == invalid_id ? "-" : fmt::format("v{}", id); }

std::string value_text(const PayloadValue& value) {
  std::string text = fmt::format("{}[{}]", name(value.type), fmt::join(value.dims, ", "));
  text += std::visit(QuantizationText{}, value.quantization);
  if (value.role == PayloadValue::Role::input) text += fmt::format(" input {}", value.external_id);
  if (value.role == PayloadValue::Role::output) text += fmt::format(" output {}", value.external_id);
  if (value.is_constant()) {
    const std::string key = !value.data_key.empty() ? value.data_key : value.data.defined() ? key_of(bytes_of(value.data)) : "";
    text += fmt::format(" constant #{}", key.substr(0, 8));
  }
  return text;
}

template <typename Describe>
std::string node_text(const PayloadNode& node, Describe describe) {
  std::vector<std::string> inputs;
  for (const ValueId id : node.inputs) inputs.push_back(describe(id));
  std::string text = fmt::format("{}({}){}", info(node.kind).name, fmt::join(inputs, ", "), std::visit(AttributesText{}, node.attributes));
  if (node.flags != 0) text += fmt::format(" flags={}", node.flags);
  if (node.clamps()) text += fmt::format(" range=[{}, {}]", node.output_min, node.output_max);
  return text;
}

}  // namespace

bool operator==(const PerGroup& a, const PerGroup& b) {
  return a.channel_dim == b.channel_dim && a.group_size == b.group_size && a.scale.defined() == b.scale.defined() &&
         (!a.scale.defined() || bit_equal(a.scale, b.scale));
}

std::string_view name(DataType type) {
  const auto index = static_cast<size_t>(type);
  return index < std::size(type_names) ? type_names[index] : "unknown";
}

bool is_quantized(DataType type) {
  switch (type) {
    case DataType::qint8:
    case DataType::quint8:
    case DataType::qint32:
    case DataType::qcint8:
    case DataType::qcint32:
    case DataType::qcint4:
    case DataType::qdint8:
    case DataType::qbint4:
    case DataType::qpint8: return true;
    default: return false;
  }
}

std::string key_of(std::span<const std::byte> bytes) { return lowercase_hex(sha256(bytes)); }

const NodeKindInfo& info(NodeKind kind) { return kinds[static_cast<size_t>(kind)]; }

std::optional<std::string> packing_of(const PayloadGraph& graph, const PayloadNode& node) {
  if (!packs_constants(node) || !graph.values[node.inputs[1]].is_constant()) return std::nullopt;
  // Sizes do not matter: the methods for a prompt and for a token share weights.
  const auto activation = [&](ValueId id) {
    const PayloadValue& value = graph.values[id];
    const auto* fixed = std::get_if<PerTensor>(&value.quantization);
    return std::string(name(value.type)) + (fixed != nullptr ? QuantizationText{}(*fixed) : "");
  };
  const ValueId bias = node.inputs.size() > 2 ? node.inputs[2] : invalid_id;
  return fmt::format("{}({}){} flags={} bias={} -> {}", info(node.kind).name, activation(node.inputs[0]),
                     std::visit(AttributesText{}, node.attributes), node.flags, bias == invalid_id ? "" : name(graph.values[bias].type),
                     activation(node.output));
}

std::vector<bool> lasting_constants(const PayloadGraph& graph) {
  std::vector<bool> lasting(graph.values.size(), false);
  for (const PayloadNode& node : graph.nodes)
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (node.inputs[i] != invalid_id && (i == 0 || !packs_constants(node)) && graph.values[node.inputs[i]].is_constant())
        lasting[node.inputs[i]] = true;
  return lasting;
}

RuntimeNeeds runtime_needs(const PayloadGraph& graph) {
  RuntimeNeeds needs;
  const std::vector<bool> lasting = lasting_constants(graph);
  for (const PayloadNode& node : graph.nodes) {
    needs.add({info(node.kind).since, fmt::format("XNNPACK {}", info(node.kind).name)});
    if (std::ranges::any_of(node.inputs, [&](ValueId id) { return id != invalid_id && lasting[id]; }))
      needs.add_from_file({keeps_constants_since, fmt::format("constants of XNNPACK {}", info(node.kind).name)});
  }
  return needs;
}

ValueId PayloadGraph::add_value(PayloadValue value) {
  values.push_back(std::move(value));
  return static_cast<ValueId>(values.size() - 1);
}

PayloadNode& PayloadGraph::add_node(PayloadNode node) {
  nodes.push_back(std::move(node));
  return nodes.back();
}

std::string to_string(const PayloadGraph& graph) {
  std::string text;
  for (size_t id = 0; id < graph.values.size(); ++id) text += fmt::format("v{}: {}\n", id, value_text(graph.values[id]));
  for (const PayloadNode& node : graph.nodes) text += fmt::format("{} = {}\n", id_text(node.output), node_text(node, id_text));
  return text;
}

std::vector<std::string> node_texts(const PayloadGraph& graph) {
  const auto described = [&](ValueId id) { return id == invalid_id ? "-" : fmt::format("v{} {}", id, value_text(graph.values[id])); };
  std::vector<std::string> texts;
  for (const PayloadNode& node : graph.nodes) texts.push_back(fmt::format("{} -> {}", node_text(node, described), described(node.output)));
  return texts;
}

void compact_values(PayloadGraph& graph) {
  std::vector<bool> used(graph.values.size(), false);
  const auto mark = [&](ValueId id) {
    if (id != invalid_id) used[id] = true;
  };
  for (const PayloadNode& node : graph.nodes) {
    for (const ValueId id : node.inputs) mark(id);
    mark(node.output);
  }
  for (const ValueId id : graph.inputs) mark(id);
  for (const ValueId id : graph.outputs) mark(id);

  std::vector<ValueId> renumbered(graph.values.size(), invalid_id);
  std::vector<PayloadValue> values;
  for (size_t id = 0; id < used.size(); ++id) {
    if (!used[id]) continue;
    renumbered[id] = static_cast<ValueId>(values.size());
    values.push_back(std::move(graph.values[id]));
  }
  const auto renumber = [&](ValueId& id) {
    if (id != invalid_id) id = renumbered[id];
  };
  for (PayloadNode& node : graph.nodes) {
    for (ValueId& id : node.inputs) renumber(id);
    renumber(node.output);
  }
  for (ValueId& id : graph.inputs) renumber(id);
  for (ValueId& id : graph.outputs) renumber(id);
  graph.values = std::move(values);
}

}  // namespace intaglio::xnnpack
