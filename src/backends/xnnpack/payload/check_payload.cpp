#include "backends/xnnpack/payload/payload_bytes.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::xnnpack {
namespace {

bool is_good_scale(float scale) { return std::isfinite(scale) && scale >= std::numeric_limits<float>::min(); }

class Checker {
 public:
  explicit Checker(const PayloadGraph& graph) : graph_(graph), made_(graph.values.size(), false) {}

  void run() {
    if (graph_.inputs.size() + graph_.outputs.size() > max_externals)
      throw_bug(fmt::format("an XNNPACK delegate has {} inputs and outputs, the runtime takes {}",
                            graph_.inputs.size() + graph_.outputs.size(), max_externals));
    for (const PayloadValue& value : graph_.values) check_value(value);
    for (ValueId id = 0; id < graph_.values.size(); ++id)
      made_[id] = graph_.values[id].is_constant() || graph_.values[id].role == PayloadValue::Role::input;
    for (const PayloadNode& node : graph_.nodes) check_node(node);
    check_externals();
  }

 private:
  [[noreturn]] static void fail(const PayloadValue& value, const std::string& what) {
    throw_bug(fmt::format("XNNPACK payload: value '{}' ({}): {}", value.name, name(value.type), what));
  }
  [[noreturn]] static void fail(const PayloadNode& node, const std::string& what) {
    throw_bug(fmt::format("XNNPACK payload: {} of {}: {}", info(node.kind).name, node.origin, what));
  }
  static void require(bool holds, const PayloadNode& node, std::string_view what) {
    if (!holds) fail(node, std::string(what));
  }

  static void check_value(const PayloadValue& value) {
    if (value.dims.size() > max_rank) fail(value, fmt::format("rank {} is above {}", value.dims.size(), max_rank));
    for (const int64_t dim : value.dims)
      if (dim < 1 || dim > max_size) fail(value, fmt::format("size {} is out of range", dim));
    if (value.is_constant() && !value.data.defined()) fail(value, "a constant without data");
    switch (value.type) {
      case DataType::fp32:
      case DataType::fp16:
        if (!std::holds_alternative<std::monostate>(value.quantization)) fail(value, "a float value is quantized");
        break;
      case DataType::qint8: check_per_tensor(value, -128, 127); break;
      case DataType::qint32: check_per_tensor(value, 0, 0); break;
      case DataType::qcint8:
      case DataType::qcint32: check_per_channel(value); break;
      case DataType::qcint4:
        check_half_bytes(value);
        check_per_channel(value);
        break;
      case DataType::qbint4:
        check_half_bytes(value);
        check_per_group(value);
        break;
      case DataType::qdint8: check_per_token(value); break;
      default: fail(value, "this element type is not supported");
    }
  }
  static void check_per_tensor(const PayloadValue& value, int32_t low, int32_t high) {
    const auto* q = std::get_if<PerTensor>(&value.quantization);
    if (!q) fail(value, "parameters per tensor are missing");
    if (!is_good_scale(q->scale)) fail(value, fmt::format("scale {} is not a normal positive number", q->scale));
    if (q->zero_point < low || q->zero_point > high) fail(value, fmt::format("zero point {} is out of range", q->zero_point));
  }
  static void check_per_token(const PayloadValue& value) {
    const auto* q = std::get_if<PerToken>(&value.quantization);
    if (!q) fail(value, "the count of dimensions that share parameters is missing");
    if (q->num_nonbatch_dims < 1 || static_cast<size_t>(q->num_nonbatch_dims) > value.dims.size())
      fail(value, fmt::format("{} dimensions share parameters, but it has {}", q->num_nonbatch_dims, value.dims.size()));
  }
  static void check_half_bytes(const PayloadValue& value) {
    if (!value.is_constant() || value.dims.size() != 2 || value.dims[1] % 2 != 0 || value.data.dtype() != DType::uint8 ||
        value.data.numel() != value.dims[0] * (value.dims[1] / 2))
      fail(value, "4-bit weights are a constant matrix of two integers a byte");
  }
  static void check_per_group(const PayloadValue& value) {
    const auto* q = std::get_if<PerGroup>(&value.quantization);
    if (!q) fail(value, "parameters per group are missing");
    if (q->channel_dim != 0 || q->group_size < 32 || q->group_size % 32 != 0 || value.dims[1] % q->group_size != 0)
      fail(value, fmt::format("groups of {} do not fit rows of {}", q->group_size, value.dims[1]));
    if (q->scale.dtype() != DType::bfloat16 || q->scale.numel() != value.dims[0] * (value.dims[1] / q->group_size))
      fail(value, fmt::format("{} scales do not fit the groups", q->scale.numel()));
  }
  static void check_per_channel(const PayloadValue& value) {
    const auto* q = std::get_if<PerChannel>(&value.quantization);
    if (!q) fail(value, "parameters per channel are missing");
    if (q->channel_dim < 0 || static_cast<size_t>(q->channel_dim) >= value.dims.size() ||
        value.dims[static_cast<size_t>(q->channel_dim)] != static_cast<int64_t>(q->scale.size()))
      fail(value, fmt::format("{} scales do not fit channel dimension {}", q->scale.size(), q->channel_dim));
    for (const float scale : q->scale)
      if (!is_good_scale(scale)) fail(value, fmt::format("scale {} is not a normal positive number", scale));
  }

  const PayloadValue& input(const PayloadNode& node, size_t index) const { return graph_.values[node.inputs[index]]; }
  const PayloadValue& output(const PayloadNode& node) const { return graph_.values[node.output]; }

  void check_node(const PayloadNode& node) {
    require(info(node.kind).form != NodeForm::unsupported, node, "the runtime has no such node");
    require(node.inputs.size() == info(node.kind).inputs, node, "the count of inputs is wrong");
    const bool is_gemm = info(node.kind).form == NodeForm::convolution || info(node.kind).form == NodeForm::fully_connected;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (is_gemm && i == 2 && node.inputs[i] == invalid_id) continue;
      require(node.inputs[i] < graph_.values.size() && made_[node.inputs[i]], node, "an input is used before it is made");
    }
    require(node.output < graph_.values.size() && !made_[node.output], node, "the result is made twice");
    require(!node.clamps() || node.output_min < node.output_max, node, "the output range is empty");
    made_[node.output] = true;
    if (is_gemm) check_gemm(node);
    else if (node.kind == NodeKind::Convert) check_convert(node);
    else check_types(node);
    check_form(node);
  }

  void check_gemm(const PayloadNode& node) const {
    const DataType x = input(node, 0).type, w = input(node, 1).type, y = output(node).type;
    const bool has_bias = node.inputs[2] != invalid_id;
    const DataType b = has_bias ? input(node, 2).type : DataType::invalid;
    const auto bias_is = [&](DataType type) { return !has_bias || b == type; };
    const bool is_float =
        x == y && (x == DataType::fp32 || x == DataType::fp16) &&
        ((w == DataType::fp32 && bias_is(DataType::fp32)) || (x == DataType::fp16 && w == DataType::fp16 && bias_is(DataType::fp16)));
    const bool per_tensor = w == DataType::qint8 && bias_is(DataType::qint32);
    const bool per_channel = w == DataType::qcint8 && bias_is(DataType::qcint32);
    const bool is_int8 = x == DataType::qint8 && y == DataType::qint8 && (per_tensor || per_channel);
    const bool has_four_bits = node.kind == NodeKind::FullyConnected && (w == DataType::qcint4 || w == DataType::qbint4);
    const bool is_dynamic = x == DataType::qdint8 && (y == DataType::fp32 || y == DataType::fp16) &&
                            (w == DataType::qcint8 || has_four_bits) && bias_is(DataType::fp32) && node.kind != NodeKind::DepthwiseConv2d;
    if (!is_float && !is_int8 && !is_dynamic)
      fail(node, fmt::format("no kernel for input {}, filter {}, bias {}, output {}", name(x), name(w), name(b), name(y)));
    if (per_tensor) require(std::get<PerTensor>(input(node, 1).quantization).zero_point == 0, node, "the filter's zero point is not 0");
    if (per_channel || (is_dynamic && w != DataType::qbint4)) {
      const int32_t expected = node.kind == NodeKind::DepthwiseConv2d ? 3 : 0;
      require(std::get<PerChannel>(input(node, 1).quantization).channel_dim == expected, node, "the filter's channel dimension is wrong");
    }
    const bool computed_weight = node.kind == NodeKind::FullyConnected && x == DataType::fp32 && w == DataType::fp32;
    require((computed_weight && !has_bias) || (input(node, 1).is_constant() && (!has_bias || input(node, 2).is_constant())), node,
            "filter and bias are not constant");
  }

  void check_convert(const PayloadNode& node) const {
    const DataType from = input(node, 0).type, to = output(node).type;
    const bool to_int8 = to == DataType::qint8 || to == DataType::qdint8;
    require((from == DataType::fp32 && (to_int8 || to == DataType::fp16)) ||
                (from == DataType::fp16 && (to == DataType::qdint8 || to == DataType::fp32)) ||
                (from == DataType::qint8 && to == DataType::fp32),
            node, "converts between other types than float32, float16 and int8");
  }

  void check_types(const PayloadNode& node) const {
    const DataType type = output(node).type;
    require(type != DataType::qdint8, node, "only a product reads rows that are quantized at run time");
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      require(input(node, i).type == type, node, "operands and result are of different types");
      if (type == DataType::qint8 && info(node.kind).int8 == NodeInt8::moves)
        require(input(node, i).quantization == output(node).quantization, node, "moved int8 numbers change their parameters");
    }
    require(type != DataType::qint8 || info(node.kind).int8 != NodeInt8::none, node, "no int8 kernel");
  }

  void check_form(const PayloadNode& node) const {
    const auto rank = [&](size_t index) { return input(node, index).dims.size(); };
    switch (info(node.kind).form) {
      case NodeForm::convolution: {
        const auto& a = node.get<ConvolutionAttributes>();
        require(rank(0) == 4 && rank(1) == 4, node, "images and filters have 4 dimensions");
        require(input(node, 0).dims[3] == int64_t{a.groups} * a.group_input_channels, node, "the input's channels do not fit");
        require(output(node).dims[3] == int64_t{a.groups} * a.group_output_channels, node, "the output's channels do not fit");
        require(a.subsampling_height * a.subsampling_width * a.dilation_height * a.dilation_width != 0, node, "a stride or dilation is 0");
        break;
      }
      case NodeForm::pooling: {
        const auto& a = node.get<PoolingAttributes>();
        require(rank(0) == 4 && a.pooling_height * a.pooling_width > 1, node, "a window of 1x1 or an input that is no image");
        break;
      }
      case NodeForm::transpose: {
        auto order = node.get<DimsAttributes>().dims;
        std::ranges::sort(order);
        bool is_permutation = order.size() == rank(0);
        for (size_t i = 0; i < order.size(); ++i) is_permutation = is_permutation && order[i] == i;
        require(is_permutation, node, "the permutation is none");
        break;
      }
      case NodeForm::reshape:
        require(std::ranges::count(node.get<DimsAttributes>().dims, 0u) <= 1, node, "more than one size is inferred");
        require(node.get<DimsAttributes>().dims.size() <= max_rank, node, "the rank is above 6");
        break;
      case NodeForm::slice: {
        const auto& a = node.get<SliceAttributes>();
        require(a.offsets.size() == rank(0) && a.sizes.size() == rank(0), node, "offsets do not fit the rank");
        for (size_t i = 0; i < rank(0); ++i)
          require(int64_t{a.offsets[i]} + a.sizes[i] <= input(node, 0).dims[i], node, "the slice leaves the input");
        break;
      }
      case NodeForm::pad: require(node.get<PadAttributes>().pre.size() == rank(0), node, "paddings do not fit the rank"); break;
      default: break;
    }
  }

  void check_externals() const {
    uint32_t next = 0;
    for (const ValueId id : graph_.inputs) {
      const PayloadValue& value = graph_.values[id];
      if (value.role != PayloadValue::Role::input || value.external_id != next++) fail(value, "inputs are not numbered in order");
    }
    for (const ValueId id : graph_.outputs) {
      const PayloadValue& value = graph_.values[id];
      if (value.role != PayloadValue::Role::output || value.external_id != next++) fail(value, "outputs are not numbered in order");
      if (!made_[id]) fail(value, "an output is never made");
    }
  }

  const PayloadGraph& graph_;
  std::vector<bool> made_;
};

}  // namespace

void check_payload(const PayloadGraph& graph) { Checker(graph).run(); }

}  // namespace intaglio::xnnpack
