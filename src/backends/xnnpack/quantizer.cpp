// The operators XNNPACK has integer kernels for, and how each is annotated.
#include <algorithm>
#include <array>

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "backends/xnnpack/limits.h"
#include "pt2e/pattern_table.h"

namespace intaglio::xnnpack {

using namespace pt2e;

namespace {

// Smallest scale of every observer, activations and weights alike.
constexpr double eps = 0.000244140625;  // 2^-12

constexpr std::string_view linear_ops[] = {"aten.linear.default"};
constexpr std::string_view conv_ops[] = {"aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default",
                                         "aten.conv2d.padding", "aten.conv3d.default", "aten.conv3d.padding"};
constexpr std::string_view conv_transpose_ops[] = {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input",
                                                   "aten.conv_transpose3d.input"};
constexpr std::string_view add_ops[] = {"aten.add.Tensor", "aten.add_.Tensor"};
constexpr std::string_view mul_ops[] = {"aten.mul.Tensor", "aten.mul_.Tensor"};
constexpr std::string_view pool_ops[] = {"aten.adaptive_avg_pool2d.default"};
constexpr std::string_view cat_ops[] = {"aten.cat.default"};
constexpr std::string_view relu[] = {"aten.relu.default", "aten.relu_.default"};
// XNNPACK clips in the operator itself, so the output's range is the clipped one.
constexpr std::string_view clip[] = {"aten.relu.default",  "aten.relu_.default",  "aten.hardtanh.default", "aten.hardtanh_.default",
                                     "aten.relu6.default", "aten.relu6_.default", "aten.clamp.default",    "aten.clamp_.default"};
constexpr std::string_view torchao_sharing[] = {
    "aten.relu.default",      "aten.hardtanh.default",   "aten.hardtanh_.default", "aten.max_pool2d.default",
    "aten.mean.default",      "aten.mean.dim",           "aten.permute.default",   "aten.permute_copy.default",
    "aten.transpose.int",     "aten.squeeze.dim",        "aten.squeeze_copy.dim",  "aten.adaptive_avg_pool2d.default",
    "aten.view_copy.default", "aten.view.default",       "aten.reshape.default",   "aten.slice.Tensor",
    "aten.slice_copy.Tensor", "aten.flatten.using_ints", "aten.dropout.default",   "aten.dropout_.default"};
// Borders hold elements of the image.
constexpr std::string_view border_pads[] = {"aten.pad.default",
                                            "aten.reflection_pad1d.default",
                                            "aten.reflection_pad2d.default",
                                            "aten.reflection_pad3d.default",
                                            "aten.replication_pad1d.default",
                                            "aten.replication_pad2d.default",
                                            "aten.replication_pad3d.default"};
constexpr auto sharing = [] {
  std::array<std::string_view, std::size(torchao_sharing) + std::size(border_pads)> ops;
  std::ranges::copy(border_pads, std::ranges::copy(torchao_sharing, ops.begin()).out);
  return ops;
}();

constexpr PatternOperand weighted[] = {{"input"}, {"weight", OperandRole::weight}, {"bias", OperandRole::bias}};
// A transposed convolution's weight is [C_in, C_out, ...].
constexpr PatternOperand weighted_transposed[] = {{"input"}, {"weight", OperandRole::weight, 1}, {"bias", OperandRole::bias}};
constexpr PatternOperand only_self[] = {{"self"}};
constexpr PatternOperand both[] = {{"self"}, {"other"}};

using Match = const OperatorMatch&;

bool one_group(PatternRun&, Match match) { return match.node->integer("groups") == 1; }

bool float_output(PatternRun&, Match match) { return has_float_output(*match.node); }
bool joins_floats(PatternRun&, Match match) {
  return std::ranges::all_of(match.node->inputs(), [](const Value* value) { return !value->is_tensor() || is_floating(value->dtype()); });
}

// XNNPACK packs weights and biases ahead.
bool constant_weight(PatternRun& run, Match match) {
  const Value *weight = match.node->tensor("weight"), *bias = match.node->optional_tensor("bias");
  return has_float_output(*match.node) && is_floating(weight->dtype()) && run.constants.is_constant(weight) &&
         (!bias || run.constants.is_constant(bias));
}

bool convolves_images(PatternRun&, Match match) {
  const int64_t rank = match.node->tensor("weight")->meta().rank();
  return rank == 4 || (rank == 3 && reshapes_to_images(match.node->tensor("input")->meta(), match.node->output()->meta()));
}

bool has_one_channel(Match match) {
  const auto channels = match.node->tensor("weight")->sizes()[1].hint();
  return !contains(conv_transpose_ops, *match.node) && channels && *channels == 1;
}

// There are dynamic kernels for lines and images, but none for depthwise convolutions.
bool has_dynamic_kernel(PatternRun& run, Match match) {
  const int64_t rank = match.node->tensor("weight")->meta().rank();
  return !run.is_dynamic() || ((rank == 3 || rank == 4) && !(has_one_channel(match) && match.node->integer("groups") > 1));
}

// torchao takes those with one input channel for depthwise, and leaves one-dimensional ones too.
bool is_dynamic_in_torchao(PatternRun& run, Match match) {
  return !run.is_dynamic() || (match.node->tensor("weight")->meta().rank() == 4 && !has_one_channel(match));
}

// torchao leaves a convolution before a relu to the relu rows, also when those then refuse it.
bool is_not_before_relu(PatternRun&, Match match) {
  const Value* result = match.node->output();
  return !result->has_one_user() || !contains(relu, *result->users().front());
}

bool float_operands(PatternRun& run, Match match) {
  for (const auto& operand : match.operands) {
    if (operand.value->dtype() != DType::float32) return false;
    if (operand.value->producer() != nullptr || operand.value->meta().rank() > 8) continue;
    const Tensor* tensor = run.program.constant(operand.value);
    if (tensor != nullptr && tensor->numel() == 1 && is_large_scalar(tensor->item_as_double())) return false;
  }
  return true;
}

// A number that is still a number at this point was left alone on purpose.
bool two_float_operands(PatternRun& run, Match match) { return match.operands.size() == 2 && float_operands(run, match); }

// torchao gives them integers, and one step of a mask's range swallows every score.
bool is_no_softmax_operand(PatternRun& run, Match match) { return !run.is_softmax_operand(match); }

// Concatenations that no mask can have entered stay integer: all parts come from quantized layers.
bool joins_no_masks(PatternRun& run, Match match) {
  return !run.is_softmax_operand(match) ||
         std::ranges::all_of(match.node->tensors("tensors"), [&](const Value* part) { return run.has_quantized_source(part); });
}

constexpr std::string_view pool_sources[] = {"torch.nn.modules.pooling.AdaptiveAvgPool2d", "torch.nn.functional.adaptive_avg_pool2d"};
bool is_module_pool(PatternRun& run, Match match) { return run.is_first_of_source(*match.node, pool_sources); }

// What was not taken with its operator has a range of its own, not that of before the clip.
bool clips_quantized(PatternRun& run, Match match) {
  return has_float_output(*match.node) && run.has_quantized_source(first_tensor(*match.node));
}

constexpr PatternConstraint weight_row = {"weight and bias are float constants, the activation is float", constant_weight};
constexpr PatternConstraint images_row = {"1-d with at most one symbolic size, or 2-d", convolves_images};
constexpr PatternConstraint one_group_row = {"a transposed convolution has one group", one_group};
constexpr std::string_view dynamic_text = "dynamic quantization takes 1-d and 2-d convolutions that are not depthwise";
constexpr PatternConstraint dynamic_row = {dynamic_text, has_dynamic_kernel};
constexpr PatternConstraint torchao_dynamic_row = {dynamic_text, is_dynamic_in_torchao};
constexpr PatternConstraint no_relu_row = {"", is_not_before_relu};
constexpr std::string_view operands_text = "both operands are float32 tensors, and no constant is too large for a histogram";
constexpr std::string_view pool_text = "a pool of its own over float images";

constexpr PatternConstraint linear_rows[] = {weight_row};
constexpr PatternConstraint conv_rows[] = {images_row, dynamic_row, weight_row};
constexpr PatternConstraint conv_transpose_rows[] = {one_group_row, images_row, dynamic_row, weight_row};
constexpr PatternConstraint pool_rows[] = {{pool_text, float_output}};
constexpr std::string_view softmax_text =
    "its result goes to more than a softmax, a logarithm, a root, a sine or a cast to integers: int8 has too few steps for these";
constexpr PatternConstraint binary_rows[] = {{operands_text, two_float_operands}, {softmax_text, is_no_softmax_operand}};
constexpr PatternConstraint cat_rows[] = {{"the tensors are float", joins_floats}, {softmax_text, joins_no_masks}};
constexpr PatternConstraint clip_rows[] = {{"what it clips is quantized", clips_quantized}};

// Activation rows stand before the plain ones of the same operator.
constexpr PatternRow rows[] = {
    {{"linear_relu", linear_ops, clip, weighted}, linear_rows},
    {{"linear", linear_ops, {}, weighted}, linear_rows, true},
    {{"conv_relu", conv_ops, clip, weighted}, conv_rows},
    {{"conv", conv_ops, {}, weighted}, conv_rows, true},
    {{"conv_transpose_relu", conv_transpose_ops, clip, weighted_transposed}, conv_transpose_rows},
    {{"conv_transpose", conv_transpose_ops, {}, weighted_transposed}, conv_transpose_rows, true},
    {{"adaptive_avg_pool2d", pool_ops, {}, {}}, pool_rows, false, annotate_as_input},
    {{"add_relu", add_ops, clip, both}, binary_rows},
    {{"add", add_ops, {}, both}, binary_rows},
    {{"mul_relu", mul_ops, clip, both}, binary_rows},
    {{"mul", mul_ops, {}, both}, binary_rows},
    {{"cat", cat_ops, {}, {}}, cat_rows, false, annotate_joined},
    {{"clip", clip, {}, only_self}, clip_rows},
};

// torchao's table: plain rows of convolutions first, and only relu is an activation. It marks weights, so that the second
// call of a shared convolution stays in float, and never asks the filter about a concatenation.
constexpr PatternConstraint torchao_conv_rows[] = {no_relu_row, torchao_dynamic_row};
constexpr PatternConstraint torchao_conv_transpose_rows[] = {one_group_row, no_relu_row, torchao_dynamic_row};
constexpr PatternConstraint torchao_conv_relu_rows[] = {torchao_dynamic_row};
constexpr PatternConstraint torchao_conv_transpose_relu_rows[] = {one_group_row, torchao_dynamic_row};
constexpr PatternConstraint torchao_pool_rows[] = {{pool_text, is_module_pool}};
constexpr PatternConstraint torchao_binary_rows[] = {{operands_text, float_operands}};

constexpr std::string_view conv_targets[] = {"aten.conv2d.default", "aten.conv1d.default", "aten.convolution.default"};
constexpr std::string_view conv_transpose_targets[] = {"aten.conv_transpose1d", "aten.conv_transpose1d.default",
                                                       "aten.conv_transpose2d", "aten.conv_transpose2d.input",
                                                       "aten.conv_transpose3d", "aten.conv_transpose3d.input"};
constexpr std::string_view add_targets[] = {"aten.add.Tensor"};
constexpr std::string_view mul_targets[] = {"aten.mul.Tensor"};

constexpr auto operands = annotate_operands;
constexpr auto marking = RowScope::nodes_and_constants;
constexpr PatternRow torchao_rows[] = {
    {{"linear_relu", linear_ops, relu, weighted}, {}, false, operands, marking, linear_ops},
    {{"linear", linear_ops, {}, weighted}, {}, true, operands, RowScope::nodes, linear_ops},
    {{"conv", conv_ops, {}, weighted}, torchao_conv_rows, true, operands, marking, conv_targets},
    {{"conv_transpose", conv_transpose_ops, {}, weighted_transposed},
     torchao_conv_transpose_rows,
     true,
     operands,
     marking,
     conv_transpose_targets},
    {{"conv_relu", conv_ops, relu, weighted}, torchao_conv_relu_rows, false, operands, marking, conv_targets},
    {{"conv_transpose_relu", conv_transpose_ops, relu, weighted_transposed},
     torchao_conv_transpose_relu_rows,
     false,
     operands,
     marking,
     conv_transpose_targets},
    {{"adaptive_avg_pool2d", pool_ops, {}, {}}, torchao_pool_rows, false, annotate_as_input, RowScope::nodes, pool_ops},
    {{"add_relu", add_ops, relu, both}, torchao_binary_rows, false, operands, RowScope::nodes, add_targets},
    {{"add", add_ops, {}, both}, torchao_binary_rows, false, operands, RowScope::nodes, add_targets},
    {{"mul_relu", mul_ops, relu, both}, torchao_binary_rows, false, operands, RowScope::nodes, mul_targets},
    {{"mul", mul_ops, {}, both}, torchao_binary_rows, false, operands, RowScope::nodes, mul_targets},
    {{"cat", cat_ops, {}, {}}, {}, false, annotate_joined, RowScope::nodes_unfiltered, cat_ops},
};

// XNNPACK adds and multiplies tensors. torchao forgets the in-place operators.
constexpr std::string_view lifted[] = {"aten.add.Tensor", "aten.add_.Tensor", "aten.mul.Tensor", "aten.mul_.Tensor"};
constexpr std::string_view torchao_lifted[] = {"aten.add.Tensor", "aten.mul.Tensor"};

// In float outside a delegate, where quantize and dequantize nodes around it only cost.
std::string_view limit(PatternRun& run, const Node& node) {
  const auto is_constant = [&](const Value* value) { return run.constants.is_constant(value); };
  const Limit* broken = first_broken_limit_of_layer(run.program, node, is_constant);
  return broken ? broken->text : "";
}

constexpr PatternTable table = {"xnnpack", "XNNPACK", rows, sharing, lifted, limit};
constexpr PatternTable torchao_table = {"xnnpack", "XNNPACK", torchao_rows, torchao_sharing, torchao_lifted};

}  // namespace

XnnpackQuantizer::XnnpackQuantizer(Compat compat) : PatternQuantizer(compat == Compat::torchao ? torchao_table : table, compat) {}

QuantizationConfig get_symmetric_quantization_config(const SymmetricQuantizationOptions& options) {
  if (options.is_qat)
    throw_unsupported(
        "is_qat: quantization-aware training happens in a training framework, and Intaglio starts where training has ended; "
        "train in PyTorch, export the result, and leave is_qat off");
  QuantizationSpec activation;
  activation.dtype = DType::int8;
  activation.quant_min = options.act_qmin;
  activation.quant_max = options.act_qmax;
  activation.qscheme = QScheme::per_tensor_affine;
  activation.is_dynamic = options.is_dynamic;
  activation.observer = options.is_dynamic ? placeholder_observer(eps) : histogram_observer(eps);

  QuantizationSpec weight;
  weight.dtype = DType::int8;
  weight.quant_min = options.weight_qmin;
  weight.quant_max = options.weight_qmax;
  weight.qscheme = options.is_per_channel ? QScheme::per_channel_symmetric : QScheme::per_tensor_symmetric;
  weight.ch_axis = 0;
  weight.observer = options.is_per_channel ? per_channel_min_max_observer(eps) : min_max_observer(eps);

  QuantizationConfig config;
  config.input_activation = activation;
  if (!options.is_dynamic) config.output_activation = activation;
  config.weight = weight;
  return config;
}

}  // namespace intaglio::xnnpack
