#include "backends/xnnpack/payload/payload_bytes.h"

#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <xnnpack_schema/schema_generated.h>

namespace intaglio::xnnpack {
namespace {

namespace fb = ::fb_xnnpack;

[[noreturn]] void damaged(const std::string& what) { throw_bad_input("XNNPACK payload: " + what); }

// A vector that the schema lets be absent.
template <typename T>
std::vector<T> list(const flatbuffers::Vector<T>* vector) {
  return vector ? std::vector<T>(vector->begin(), vector->end()) : std::vector<T>{};
}

template <typename T>
const T& present(const T* table, std::string_view what) {
  if (!table) damaged(fmt::format("{} is missing", what));
  return *table;
}

Quantization read_quantization(const fb::XNNQuantizedTensorValue& value) {
  switch (value.quant_params_type()) {
    case fb::XNNQuantParams::PerTensorQuant: {
      const auto& q = present(value.quant_params_as_PerTensorQuant(), "a value's quantization");
      return PerTensor{q.scale(), q.zero_point()};
    }
    case fb::XNNQuantParams::PerChannelQuant: {
      const auto& q = present(value.quant_params_as_PerChannelQuant(), "a value's quantization");
      return PerChannel{list(q.scale()), q.channel_dim()};
    }
    case fb::XNNQuantParams::PerTokenDynamicQuant:
      return PerToken{present(value.quant_params_as_PerTokenDynamicQuant(), "a value's quantization").num_nonbatch_dims()};
    case fb::XNNQuantParams::PerChannelGroupQuant: {
      const auto& q = present(value.quant_params_as_PerChannelGroupQuant(), "a value's quantization");
      return PerGroup{{}, q.channel_dim(), q.group_size()};
    }
    default: damaged(fmt::format("quantization of an unknown type {}", static_cast<int>(value.quant_params_type())));
  }
}

class Reader {
 public:
  explicit Reader(const fb::XNNGraph& source) : source_(source) {}

  PayloadGraph read() {
    const auto& values = present(source_.xvalues(), "the value list");
    graph_.values.resize(values.size());
    filled_.resize(values.size(), false);
    for (const fb::XValue* value : values) read_value(present(value, "a value"));
    for (const fb::XNode* node : present(source_.xnodes(), "the node list")) read_node(present(node, "a node"));
    graph_.inputs = checked_ids(list(source_.input_ids()));
    graph_.outputs = checked_ids(list(source_.output_ids()));
    return std::move(graph_);
  }

 private:
  void read_value(const fb::XValue& source) {
    PayloadValue value;
    const fb::XNNTensorValue* tensor = source.xvalue_union_as_XNNTensorValue();
    if (const auto* quantized = source.xvalue_union_as_XNNQuantizedTensorValue()) {
      tensor = quantized->tensor_value();
      value.quantization = read_quantization(*quantized);
    }
    const auto& t = present(tensor, "a value's tensor");
    value.type = static_cast<DataType>(t.datatype());
    for (const uint32_t dim : list(t.dims())) value.dims.push_back(dim);
    if (value.dims.size() > max_rank) damaged(fmt::format("value {} has rank {}", t.id_out(), value.dims.size()));
    value.external_id = t.external_id();
    if (t.flags() == 1) value.role = PayloadValue::Role::input;
    if (t.flags() == 2) value.role = PayloadValue::Role::output;
    if (t.constant_buffer_idx() != 0) {
      value.role = PayloadValue::Role::constant;
      value.data_key = constant_key(t.constant_buffer_idx());
    }
    // The format allows sparse ids; this reader takes what this writer and ExecuTorch's make.
    const ValueId id = t.id_out();
    if (id >= graph_.values.size() || filled_[id]) damaged(fmt::format("value id {} is out of range or used twice", id));
    filled_[id] = true;
    graph_.values[id] = std::move(value);
  }

  std::string constant_key(uint32_t index) const {
    const auto* constants = source_.constant_data();
    if (!constants || index >= constants->size()) damaged(fmt::format("constant {} is not in the table", index));
    const auto& entry = present(constants->Get(index), "a constant");
    return entry.named_key() ? entry.named_key()->str() : "";
  }

  ValueId id(uint32_t value) const {
    if (value >= graph_.values.size()) damaged(fmt::format("a node refers to value {} of {}", value, graph_.values.size()));
    return value;
  }
  ValueId optional_id(uint32_t value) const { return value == invalid_id ? value : id(value); }
  std::vector<ValueId> checked_ids(std::vector<ValueId> ids) const {
    for (const ValueId value : ids) id(value);
    return ids;
  }

  // What all tables have.
  template <typename Table>
  void set_ends(PayloadNode& node, const Table& table, std::vector<ValueId> inputs) const {
    node.inputs = std::move(inputs);
    node.output = id(table.output_id());
    node.flags = table.flags();
  }
  // Of a table with a filter and a bias.
  template <typename Table>
  std::vector<ValueId> gemm_inputs(const Table& table) const {
    return {id(table.input1_id()), id(table.filter_id()), optional_id(table.bias_id())};
  }
  template <typename Table, typename Attribute>
  void read_unary(PayloadNode& node, const void* table, Attribute attributes_of) const {
    const auto& t = *static_cast<const Table*>(table);
    node.attributes = attributes_of(t);
    set_ends(node, t, {id(t.input_id())});
  }

  static ConvolutionAttributes convolution(const fb::_XNNNodeConv& t) {
    return {t.padding_top(),     t.padding_right(),     t.padding_bottom(),       t.padding_left(),
            t.kernel_height(),   t.kernel_width(),      t.subsampling_height(),   t.subsampling_width(),
            t.dilation_height(), t.dilation_width(),    t.group_input_channels(), t.group_output_channels(),
            t.groups(),          t.adjustment_height(), t.adjustment_width()};
  }
  static PoolingAttributes pooling(const fb::_XNNPooling2D& t) {
    return {t.padding_top(),   t.padding_right(), t.padding_bottom(), t.padding_left(),    t.pooling_height(),
            t.pooling_width(), t.stride_height(), t.stride_width(),   t.dilation_height(), t.dilation_width()};
  }

  void read_concatenate(PayloadNode& node, const fb::_XNNCat& t) const {
    const uint32_t parts[] = {t.input1_id(), t.input2_id(), t.input3_id(), t.input4_id(), t.input5_id()};
    std::vector<ValueId> inputs;
    for (size_t i = 0; i < info(node.kind).inputs; ++i) inputs.push_back(id(parts[i]));
    node.attributes = ConcatenateAttributes{t.axis()};
    set_ends(node, t, std::move(inputs));
  }

  void read_table(PayloadNode& node, const void* table) const {
    switch (info(node.kind).form) {
      case NodeForm::unary: return read_unary<fb::_XNNNode1x1>(node, table, [](const auto&) { return std::monostate(); });
      case NodeForm::pooling: return read_unary<fb::_XNNPooling2D>(node, table, pooling);
      case NodeForm::transpose:
        return read_unary<fb::XNNStaticTranspose>(node, table, [](const auto& t) { return DimsAttributes{list(t.perm())}; });
      case NodeForm::reshape:
        return read_unary<fb::XNNStaticReshape>(node, table, [](const auto& t) { return DimsAttributes{list(t.new_shape())}; });
      case NodeForm::slice:
        return read_unary<fb::XNNStaticSlice>(node, table,
                                              [](const auto& t) { return SliceAttributes{list(t.offsets()), list(t.sizes())}; });
      case NodeForm::pad:
        return read_unary<fb::XNNStaticConstantPad>(
            node, table, [](const auto& t) { return PadAttributes{list(t.pre_paddings()), list(t.post_paddings()), t.padding_value()}; });
      case NodeForm::resize:
        return read_unary<fb::XNNStaticResizeBilinear2D>(node, table,
                                                         [](const auto& t) { return ResizeAttributes{t.new_height(), t.new_width()}; });
      case NodeForm::elu: return read_unary<fb::XNNELU>(node, table, [](const auto& t) { return ScalarAttributes{t.alpha()}; });
      case NodeForm::leaky_relu:
        return read_unary<fb::XNNLeakyReLU>(node, table, [](const auto& t) { return ScalarAttributes{t.negative_slope()}; });
      case NodeForm::binary: {
        const auto& t = *static_cast<const fb::_XNNNode2x1*>(table);
        return set_ends(node, t, {id(t.input1_id()), id(t.input2_id())});
      }
      case NodeForm::concatenate: return read_concatenate(node, *static_cast<const fb::_XNNCat*>(table));
      case NodeForm::convolution: {
        const auto& t = *static_cast<const fb::_XNNNodeConv*>(table);
        node.attributes = convolution(t);
        return set_ends(node, t, gemm_inputs(t));
      }
      case NodeForm::fully_connected: {
        const auto& t = *static_cast<const fb::XNNFullyConnected*>(table);
        return set_ends(node, t, gemm_inputs(t));
      }
      case NodeForm::unsupported: break;
    }
    damaged(fmt::format("node kind {} is not one the runtime executes", info(node.kind).name));
  }

  void read_node(const fb::XNode& source) {
    const auto kind = static_cast<int>(source.xnode_union_type());
    if (kind < 1 || kind > last_node_kind) damaged(fmt::format("unknown node kind {}", kind));
    PayloadNode node;
    node.kind = static_cast<NodeKind>(kind);
    node.debug_handle = source.debug_handle();
    if (const auto* bounds = source.output_min_max()) {
      node.output_min = bounds->output_min();
      node.output_max = bounds->output_max();
    }
    if (!source.xnode_union()) damaged("a node's table is missing");
    read_table(node, source.xnode_union());
    graph_.add_node(std::move(node));
  }

  const fb::XNNGraph& source_;
  PayloadGraph graph_;
  std::vector<bool> filled_;
};

}  // namespace

PayloadGraph read_payload(std::span<const std::byte> payload) {
  const auto flatbuffer = common::split_payload(payload_format, payload).flatbuffer;
  // The verifier wants the buffer aligned as the schema does.
  std::vector<uint64_t> aligned((flatbuffer.size() + 15) / 8);
  std::memcpy(aligned.data(), flatbuffer.data(), flatbuffer.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(aligned.data());
  flatbuffers::Verifier verifier(bytes, flatbuffer.size());
  if (flatbuffer.size() < 8 || !fb::VerifyXNNGraphBuffer(verifier)) damaged("the flatbuffer inside is damaged");
  return Reader(*fb::GetXNNGraph(bytes)).read();
}

}  // namespace intaglio::xnnpack
