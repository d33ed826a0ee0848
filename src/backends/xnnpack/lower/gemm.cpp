// Convolutions and linears: constant weights, float or int8; int8 inputs with known parameters or with such found at run time.
#include "backends/common/gemm_operands.h"
#include "backends/xnnpack/lower/lowering.h"
#include "backends/xnnpack/row_weights.h"
#include "base/computed.h"
#include "quant/affine.h"
#include "quant/packing.h"

namespace intaglio::xnnpack::lower {
namespace {

using common::GemmOperands, common::GemmWeight;

// A weight ready for the payload: laid out, with its parameters.
struct Filter {
  Tensor data;
  DataType type = DataType::fp32;
  Quantization quantization;
};

bool has_int8_weight(const Lowering& lowering) { return lowering.is_int8() || lowering.is_dynamic(); }

// `channel_dim`: where the output channels are in the payload's layout of the filter.
Filter int8_filter(Tensor data, const QuantParams& params, int32_t channel_dim) {
  if (!params.is_per_channel()) return {std::move(data), DataType::qint8, PerTensor{static_cast<float>(params.scale[0]), 0}};
  return {std::move(data), DataType::qcint8, PerChannel{{params.scale.begin(), params.scale.end()}, channel_dim}};
}

Filter make_filter(const Lowering& lowering, const GemmWeight& weight, Tensor laid_out, int32_t channel_dim) {
  if (lowering.is_dynamic() && !weight.params->is_per_channel()) {
    // The kernels for dynamic inputs know scales per channel only.
    const auto channels = static_cast<size_t>(laid_out.size(channel_dim));
    return {std::move(laid_out), DataType::qcint8,
            PerChannel{std::vector<float>(channels, static_cast<float>(weight.params->scale[0])), channel_dim}};
  }
  if (has_int8_weight(lowering)) return int8_filter(std::move(laid_out), *weight.params, channel_dim);
  // Convolutions keep float filters in float32 also beside float16 activations.
  return {std::move(laid_out), DataType::fp32, {}};
}

// A quantized weight beside float activations is used by its float value.
Tensor float_weight(const GemmWeight& weight) {
  if (!weight.params) return weight.data.dtype() == DType::float32 ? weight.data : converted(weight.data, DType::float32);
  return quant::dequantize(weight.data, *weight.params);
}

// int32 on the grid of the products: input scale times weight scale.
ValueId int8_bias(Lowering& lowering, const GemmOperands& operands, const QuantParams& weight) {
  const Tensor bias = converted(*lowering.facts().constant_value(operands.bias), DType::float32).contiguous();
  const double input_scale = qdq::dequantized(lowering.facts().program(), operands.input)->params.scale[0];
  const std::vector<float> scales(weight.scale.begin(), weight.scale.end());
  const quant::QuantizedBias quantized = weight.is_per_channel() ? quant::quantize_bias(bias.span<float>(), input_scale, scales)
                                                                 : quant::quantize_bias(bias.span<float>(), input_scale, weight.scale[0]);
  const Tensor integers = Tensor::of<int32_t>(std::span<const int32_t>(quantized.values), bias.sizes());
  const std::string& name = operands.bias->name();
  if (!weight.is_per_channel()) return lowering.constant(integers, name, DataType::qint32, PerTensor{quantized.scales[0], 0});
  return lowering.constant(integers, name, DataType::qcint32, PerChannel{quantized.scales, 0});
}

ValueId bias_value(Lowering& lowering, const GemmOperands& operands, const GemmWeight& weight, DataType float_type) {
  if (!operands.bias) return invalid_id;
  if (lowering.is_int8()) return int8_bias(lowering, operands, *weight.params);
  const Tensor bias = *lowering.facts().constant_value(operands.bias);
  const DType dtype = float_type == DataType::fp16 ? DType::float16 : DType::float32;
  return lowering.constant(bias.dtype() == dtype ? bias : converted(bias, dtype), operands.bias->name(), float_type);
}

uint32_t positive(int64_t value) { return static_cast<uint32_t>(value); }

// Lists of a 1-d convolution get a second entry: it runs as a convolution over [N, C, L, 1].
std::vector<int64_t> two_entries(std::vector<int64_t> list, int64_t filler) {
  if (list.size() == 1) list.push_back(filler);
  return list;
}

ConvolutionAttributes attributes_of(const Node& node, bool one_dimensional) {
  const auto stride = two_entries(node.integers("stride"), 1), dilation = two_entries(node.integers("dilation"), 1);
  auto padding = node.integers("padding"), adjustment = node.integers("output_padding");
  // The exporter may state one number for both dimensions.
  const int64_t filler_padding = one_dimensional ? 0 : padding.front();
  const int64_t filler_adjustment = one_dimensional || adjustment.empty() ? 0 : adjustment.front();
  padding = two_entries(padding, filler_padding);
  if (adjustment.empty()) adjustment = {0, 0};
  adjustment = two_entries(adjustment, filler_adjustment);
  ConvolutionAttributes a;
  a.padding_top = a.padding_bottom = positive(padding[0]);
  a.padding_left = a.padding_right = positive(padding[1]);
  a.subsampling_height = positive(stride[0]);
  a.subsampling_width = positive(stride[1]);
  a.dilation_height = positive(dilation[0]);
  a.dilation_width = positive(dilation[1]);
  a.groups = positive(node.integer("groups"));
  if (node.boolean("transposed")) {
    a.adjustment_height = positive(adjustment[0]);
    a.adjustment_width = positive(adjustment[1]);
  }
  return a;
}

// [I, O/g, H, W] of a transposed convolution to [O, H, W, I/g].
Tensor transposed_layout(const Tensor& weight, int64_t groups) {
  const int64_t inputs = weight.size(0) / groups, outputs = weight.size(1), h = weight.size(2), w = weight.size(3);
  const Tensor grouped = weight.contiguous().reshaped({groups, inputs, outputs, h, w});
  const std::vector<int64_t> permutation = {0, 2, 3, 4, 1};
  return grouped.permuted(permutation).contiguous().reshaped({groups * outputs, h, w, inputs});
}

struct LaidOut {
  NodeKind kind;
  Tensor filter;
  int32_t channel_dim;
};

LaidOut lay_out(const Tensor& weight, bool transposed, int64_t groups, int64_t input_channels, bool may_be_depthwise) {
  static const std::vector<int64_t> ohwi = {0, 2, 3, 1}, ihwo = {1, 2, 3, 0};
  if (transposed) return {NodeKind::ConvTranspose2d, transposed_layout(weight, groups), 0};
  const bool depthwise = may_be_depthwise && input_channels / groups == 1;
  if (depthwise) return {NodeKind::DepthwiseConv2d, weight.permuted(ihwo).contiguous(), 3};
  const auto permuted = [](const Tensor& source) { return source.for_one_use().permuted(ohwi).contiguous(); };
  return {NodeKind::Conv2d, computed_from(weight, weight.dtype(), weight.permuted(ohwi).sizes(), permuted), 0};
}

Tensor with_trailing_one(const Tensor& weight) {
  Sizes sizes = weight.sizes();
  sizes.push_back(1);
  return weight.contiguous().reshaped(sizes);
}

// A weight that is computed at run time. The bias is added behind: beside such a weight the runtime crashes on one.
void product_of_values(Lowering& lowering, const GemmOperands& operands, NodeKind kind) {
  const ValueId input = lowering.operand(operands.input), weight = lowering.operand(operands.weight);
  const uint32_t node_flags = operands.channel_axis == 1 ? flags::transpose_weights : 0;
  if (!operands.bias) return lowering.emit(kind, {input, weight, invalid_id}, {}, node_flags);
  const ValueId product = lowering.compute(kind, {input, weight, invalid_id}, {}, lowering.value(lowering.result()).dims, node_flags);
  lowering.emit(NodeKind::Add, {product, lowering.operand(operands.bias)});
}

// Scales as a payload holds them: in float32 where there is one a row, else in bfloat16.
Quantization row_quantization(const RowWeight& weight, const Tensor& scale, const Tensor* zero_point, const std::string& where) {
  const auto checked = [zeros = zero_point ? std::optional(*zero_point) : std::nullopt, where](const Tensor& scales) {
    Tensor numbers = scales.for_one_use();
    if (const std::string why = refused_numbers(numbers, zeros ? &*zeros : nullptr); !why.empty()) throw_bad_input(where + ": " + why);
    return numbers;
  };
  if (weight.type != DataType::qbint4) {
    const Tensor floats = converted(checked(scale), DType::float32).contiguous();
    return PerChannel{{floats.span<float>().begin(), floats.span<float>().end()}, 0};
  }
  const int64_t rows = weight.rows.integers->sizes()[0].value();
  const Sizes sizes = {rows, scale.numel() / rows};
  const auto rounded = [=](const Tensor& source) { return converted(checked(source), DType::bfloat16).contiguous(); };
  return PerGroup{computed_by_rows(scale, DType::bfloat16, sizes, rounded), 0, static_cast<int32_t>(weight.rows.group_size)};
}

// Weights that torchao wrote, beside an input that is quantized row by row.
void linear_of_rows(Lowering& lowering, const Node& node, const RowWeight& weight, NodeKind kind) {
  const GemmOperands operands = *common::gemm_operands(node);
  const auto constant = [&](const Value* value) { return value ? lowering.facts().program().constant(value) : nullptr; };
  const Tensor& integers = *constant(weight.rows.integers);
  const bool has_half_bytes = weight.type != DataType::qcint8;
  const ValueId filter = lowering.constant(
      has_half_bytes ? quant::packed(integers, 4, quant::First::low_bits) : integers, operands.weight->name(), weight.type,
      row_quantization(weight, *constant(weight.rows.scale), constant(weight.rows.zero_point), describe(node)), integers.sizes());
  const ValueId bias = bias_value(lowering, operands, {integers, std::nullopt, true}, DataType::fp32);
  lowering.emit(kind, {lowering.dynamic_int8(lowering.operand(operands.input), 1), filter, bias});
}

}  // namespace

void convolution(Lowering& lowering, const Node& node, NodeKind) {
  const GemmOperands operands = *common::gemm_operands(node);
  const GemmWeight weight = *common::gemm_weight(lowering.facts(), operands.weight);
  ValueId input = lowering.operand(operands.input);
  const bool one_dimensional = lowering.value(input).dims.size() == 3;
  ConvolutionAttributes attributes = attributes_of(node, one_dimensional);

  const Tensor raw = has_int8_weight(lowering) ? weight.data : float_weight(weight);
  const Tensor square = one_dimensional ? with_trailing_one(raw) : raw;
  const int64_t input_channels = lowering.value(input).dims[1];
  const int64_t output_channels = operands.transposed ? square.size(1) * operands.groups : square.size(0);
  attributes.kernel_height = positive(square.size(2));
  attributes.kernel_width = positive(square.size(3));
  attributes.group_input_channels = positive(input_channels / operands.groups);
  attributes.group_output_channels = positive(output_channels / operands.groups);

  LaidOut laid_out = lay_out(square, operands.transposed, operands.groups, input_channels, !lowering.is_dynamic());
  Filter filter = make_filter(lowering, weight, std::move(laid_out.filter), laid_out.channel_dim);
  const ValueId filter_id = lowering.constant(filter.data, operands.weight->name(), filter.type, std::move(filter.quantization));
  const ValueId bias = bias_value(lowering, operands, weight, DataType::fp32);
  // The runtime turns 1x1 convolutions into linears, and then quantizes their input by rows: another reader of the same
  // quantized value that needs whole images would compute nonsense (seen with executorch 1.5.1).
  const auto quantized_images = [&](ValueId images) {
    constexpr int32_t whole_image = 3;
    const bool pointwise = attributes.kernel_height == 1 && attributes.kernel_width == 1;
    return lowering.is_dynamic() ? lowering.dynamic_int8(images, whole_image, !pointwise) : images;
  };
  if (!one_dimensional) {
    input = quantized_images(input);
    lowering.emit(laid_out.kind, {input, filter_id, bias}, attributes);
    return;
  }
  const auto with_one = [&](ValueId id) {
    std::vector<int64_t> dims = lowering.value(id).dims;
    dims.push_back(1);
    return dims;
  };
  const auto reshape_to = [](const Value* value, bool trailing_one) {
    DimsAttributes attributes = reshape_attributes(*value);
    if (trailing_one) attributes.dims.push_back(1);
    return attributes;
  };
  ValueId image = lowering.intermediate(input, with_one(input));
  lowering.emit_to(image, NodeKind::StaticReshape, {input}, reshape_to(operands.input, true));
  image = quantized_images(image);
  const ValueId computed = lowering.intermediate(lowering.result(), with_one(lowering.result()));
  lowering.apply_activation(lowering.emit_to(computed, laid_out.kind, {image, filter_id, bias}, attributes));
  lowering.emit_to(lowering.result(), NodeKind::StaticReshape, {computed}, reshape_to(node.output(), false));
}

void linear(Lowering& lowering, const Node& node, NodeKind kind) {
  const GemmOperands operands = *common::gemm_operands(node);
  if (const auto rows = row_weight(lowering.facts(), lowering.features(), operands.weight))
    return linear_of_rows(lowering, node, *rows, kind);
  if (!common::gemm_weight(lowering.facts(), operands.weight)) return product_of_values(lowering, operands, kind);
  const GemmWeight weight = *common::gemm_weight(lowering.facts(), operands.weight);
  ValueId input = lowering.operand(operands.input);
  const bool half = lowering.value(input).type == DataType::fp16;
  const bool int8 = has_int8_weight(lowering);
  Tensor data = int8 ? weight.data : float_weight(weight);
  uint32_t node_flags = 0;
  int32_t channel_dim = static_cast<int32_t>(operands.channel_axis);
  // mm and addmm have [in, out] weights; where that is a transposed view, the stored matrix is already [out, in].
  if (operands.channel_axis == 1) {
    static const std::vector<int64_t> swap = {1, 0};
    const Tensor swapped = data.permuted(swap);
    if (swapped.is_contiguous() || int8) {
      data = swapped;
      channel_dim = 0;
    } else {
      node_flags = flags::transpose_weights;
    }
  }
  Filter filter = make_filter(lowering, weight, data, channel_dim);
  if (half && !int8) {
    filter.data = converted(filter.data, DType::float16);
    filter.type = DataType::fp16;
  }
  const ValueId filter_id = lowering.constant(filter.data, operands.weight->name(), filter.type, std::move(filter.quantization));
  const ValueId bias = bias_value(lowering, operands, weight, half && !int8 ? DataType::fp16 : DataType::fp32);
  if (lowering.is_dynamic()) input = lowering.dynamic_int8(input, 1);
  lowering.emit(kind, {input, filter_id, bias}, {}, node_flags);
}

}  // namespace intaglio::xnnpack::lower
