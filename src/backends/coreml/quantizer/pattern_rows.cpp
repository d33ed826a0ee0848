#include "backends/coreml/quantizer/pattern_rows.h"

#include <algorithm>
#include <array>

#include "backends/coreml/constraints.h"

namespace intaglio::coreml {

using namespace pt2e;

namespace patterns {
namespace {

constexpr std::string_view linear_ops[] = {"aten.linear.default"};
constexpr std::string_view original_conv_ops[] = {"aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default"};
constexpr std::string_view conv_ops[] = {"aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default",
                                         "aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding"};
constexpr std::string_view add_ops[] = {"aten.add.Tensor", "aten.add_.Tensor"};
constexpr std::string_view mul_ops[] = {"aten.mul.Tensor", "aten.mul_.Tensor"};
constexpr std::string_view matmul_ops[] = {"aten.matmul.default"};

// In the order in which the original looks for them: a layer whose activation comes first is annotated first.
constexpr std::string_view activations[] = {
    "aten.relu_.default",        "aten.relu.default",        "aten.relu6_.default",   "aten.relu6.default",      "aten.leaky_relu_.default",
    "aten.leaky_relu.default",   "aten.silu_.default",       "aten.silu.default",     "aten.elu_.default",       "aten.elu.default",
    "aten.celu_.default",        "aten.celu.default",        "aten.selu_.default",    "aten.selu.default",       "aten.mish_.default",
    "aten.mish.default",         "aten.hardtanh_.default",   "aten.hardtanh.default", "aten.hardswish_.default", "aten.hardswish.default",
    "aten.hardsigmoid_.default", "aten.hardsigmoid.default", "aten.gelu.default",     "aten.sigmoid.default",    "aten.log_sigmoid.default",
    "aten.tanh.default"};

// Nothing negative comes out of these, and a symmetric range would waste half of the integers.
constexpr std::string_view positive[] = {"aten.relu.default",        "aten.relu_.default",       "aten.relu6.default",
                                         "aten.relu6_.default",      "aten.sigmoid.default",     "aten.sigmoid_.default",
                                         "aten.hardsigmoid.default", "aten.hardsigmoid_.default"};
constexpr std::string_view clamps[] = {"aten.hardtanh.default", "aten.hardtanh_.default"};
constexpr std::string_view hyperbolic[] = {"aten.tanh.default", "aten.tanh_.default"};

// What strict export, or else a module, says that pools, means and flattening come from.
struct SourceRow {
  std::string_view name;
  std::string_view ops[2];
  std::string_view sources[3];
};
constexpr SourceRow source_rows[] = {
    {"max_pool1d",
     {"aten.max_pool1d.default"},
     {"torch.nn.modules.pooling.MaxPool1d", "torch.nn.functional.max_pool1d", "torch.max_pool1d"}},
    {"max_pool2d",
     {"aten.max_pool2d.default"},
     {"torch.nn.modules.pooling.MaxPool2d", "torch.nn.functional.max_pool2d", "torch.max_pool2d"}},
    {"max_pool3d",
     {"aten.max_pool3d.default"},
     {"torch.nn.modules.pooling.MaxPool3d", "torch.nn.functional.max_pool3d", "torch.max_pool3d"}},
    {"adaptive_avg_pool1d",
     {"aten.adaptive_avg_pool1d.default"},
     {"torch.nn.modules.pooling.AdaptiveAvgPool1d", "torch.nn.functional.adaptive_avg_pool1d", "torch.adaptive_avg_pool1d"}},
    {"adaptive_avg_pool2d",
     {"aten.adaptive_avg_pool2d.default"},
     {"torch.nn.modules.pooling.AdaptiveAvgPool2d", "torch.nn.functional.adaptive_avg_pool2d"}},
    {"adaptive_avg_pool3d",
     {"aten.adaptive_avg_pool3d.default"},
     {"torch.nn.modules.pooling.AdaptiveAvgPool3d", "torch.nn.functional.adaptive_avg_pool3d"}},
    {"avg_pool1d",
     {"aten.avg_pool1d.default"},
     {"torch.nn.modules.pooling.AvgPool1d", "torch.nn.functional.avg_pool1d", "torch.avg_pool1d"}},
    {"mean", {"aten.mean.default", "aten.mean.dim"}, {"torch.mean"}},
    {"avg_pool2d",
     {"aten.avg_pool2d.default"},
     {"torch.nn.modules.pooling.AvgPool2d", "torch.nn.functional.avg_pool2d", "torch._C._nn.avg_pool2d"}},
    {"avg_pool3d",
     {"aten.avg_pool3d.default"},
     {"torch.nn.modules.pooling.AvgPool3d", "torch.nn.functional.avg_pool3d", "torch._C._nn.avg_pool3d"}},
    {"flatten", {"aten.flatten.using_ints"}, {"torch.nn.modules.flatten.Flatten", "torch.flatten"}},
};

constexpr std::string_view sharing[] = {"aten.max_pool1d.default",
                                        "aten.max_pool2d.default",
                                        "aten.max_pool3d.default",
                                        "aten.adaptive_avg_pool1d.default",
                                        "aten.adaptive_avg_pool2d.default",
                                        "aten.adaptive_avg_pool3d.default",
                                        "aten.avg_pool1d.default",
                                        "aten.avg_pool2d.default",
                                        "aten.avg_pool3d.default",
                                        "aten.mean.default",
                                        "aten.mean.dim",
                                        "aten.flatten.using_ints",
                                        "aten.view.default",
                                        "aten.reshape.default",
                                        "aten.permute.default",
                                        "aten.transpose.int",
                                        "aten.squeeze.dim",
                                        "aten.squeeze.dims",
                                        "aten.unsqueeze.default",
                                        "aten.slice.Tensor",
                                        "aten.select.int",
                                        "aten.dropout.default",
                                        "aten.dropout_.default",
                                        "aten.contiguous.default",
                                        "aten.clone.default"};

constexpr PatternOperand weighted[] = {{"input"}, {"weight", OperandRole::weight}, {"bias", OperandRole::bias}};
constexpr PatternOperand both[] = {{"self"}, {"other"}};

using Match = const OperatorMatch&;

// ---- annotations

void set_output(PatternRun& run, Match match) {
  QuantizationAnnotation& last = run.annotations.of(&match.last());
  auto* spec = last.output_qspec ? std::get_if<QuantizationSpec>(&*last.output_qspec) : nullptr;
  if (spec == nullptr || match.tail == nullptr) return;
  const bool is_relu6 = contains(clamps, *match.tail) && match.tail->number("min_val") == 0 && match.tail->number("max_val") == 6;
  if (is_relu6 || contains(positive, *match.tail)) spec->qscheme = QScheme::per_tensor_affine;
  if (contains(hyperbolic, *match.tail)) spec->qscheme = QScheme::per_tensor_symmetric;
}

void annotate_alone(PatternRun& run, Match match, const std::string& rule) {
  annotate_operands(run, match, rule);
  set_output(run, match);
}

// The input is read as what made it says, in case that was annotated before. A weight that is computed is not annotated any more.
void annotate_original_layer(PatternRun& run, Match match, const std::string& rule) {
  annotate_alone(run, match, rule);
  auto& inputs = run.annotations.of(match.node).input_qspec_map;
  if (const QuantizationAnnotation* made = run.annotations.find_producer(inputs.front().first); made != nullptr && made->annotated)
    inputs.front().second = made->output_qspec;
  for (const auto& [value, operand] : match.operands)
    if (operand->role != OperandRole::activation && value->producer() != nullptr) run.annotations.of(value->producer()).annotated = true;
}

void annotate_original_sharing(PatternRun& run, Match match, const std::string& rule) {
  run.annotations.of(match.node) = {.output_qspec = SharedQuantizationSpec{first_tensor(*match.node)}, .annotated = true, .rule = rule};
}

// ---- constraints

bool is_float(const Value* value) { return value->is_tensor() && is_floating(value->dtype()); }

bool constant_weight(PatternRun& run, Match match) {
  const Value *weight = match.node->tensor("weight"), *bias = match.node->optional_tensor("bias");
  return has_float_output(*match.node) && is_float(weight) && run.constants.is_constant(weight) &&
         (bias == nullptr || run.constants.is_constant(bias));
}

bool float_operands(PatternRun&, Match match) {
  return has_float_output(*match.node) && std::ranges::all_of(match.operands, [](const auto& operand) { return is_float(operand.value); });
}

// A mask's numbers would take the whole range.
bool is_no_softmax_operand(PatternRun& run, Match match) { return contains(matmul_ops, *match.node) || !run.is_softmax_operand(match); }

// The original's matcher takes no tensor for two operands.
bool are_different(PatternRun&, Match match) { return match.operands.size() < 2 || match.operands[0].value != match.operands[1].value; }

bool is_original_source(PatternRun& run, Match match) {
  const auto row = std::ranges::find_if(source_rows, [&](const SourceRow& one) { return contains(one.ops, *match.node); });
  if (!run.is_first_of_source(*match.node, row->sources)) return false;
  const QuantizationAnnotation* made = run.annotations.find_producer(first_tensor(*match.node));
  return made != nullptr && made->annotated && made->output_qspec && run.config.input_activation;
}

constexpr PatternConstraint layer_rows[] = {{"weight and bias are float constants, the activation is float", constant_weight}};
constexpr PatternConstraint binary_rows[] = {
    {"the operands are float", float_operands},
    {"its result goes to a softmax, whose operands stay in float: a mask would take their range", is_no_softmax_operand}};
constexpr PatternConstraint original_binary_rows[] = {{"two tensors", are_different}};
constexpr PatternConstraint original_source_rows[] = {{"a pool whose input is quantized", is_original_source}};

// ---- tables

constexpr PatternRow rows[] = {
    {{"conv_act", conv_ops, activations, weighted}, layer_rows, false, annotate_alone},
    {{"conv", conv_ops, {}, weighted}, layer_rows},
    {{"linear_act", linear_ops, activations, weighted}, layer_rows, false, annotate_alone},
    {{"linear", linear_ops, {}, weighted}, layer_rows},
    {{"add_act", add_ops, activations, both}, binary_rows, false, annotate_alone},
    {{"add", add_ops, {}, both}, binary_rows},
    {{"mul_act", mul_ops, activations, both}, binary_rows, false, annotate_alone},
    {{"mul", mul_ops, {}, both}, binary_rows},
    {{"matmul_act", matmul_ops, activations, both}, binary_rows, false, annotate_alone},
    {{"matmul", matmul_ops, {}, both}, binary_rows},
};

constexpr PatternRow original_layer(std::string_view name, Ops ops, Ops tail) {
  return {{name, ops, tail, weighted}, {}, false, annotate_original_layer, RowScope::operator_and_constants};
}
constexpr PatternRow original_binary(std::string_view name, Ops ops, Ops tail) {
  return {{name, ops, tail, both}, original_binary_rows, false, annotate_alone};
}

constexpr auto original_rows = [] {
  std::array<PatternRow, 2 * (std::size(activations) + 1) + 6 + std::size(source_rows)> table{};
  size_t count = 0;
  for (const std::string_view& activation : activations) table[count++] = original_layer("conv_act", original_conv_ops, {&activation, 1});
  table[count++] = original_layer("conv", original_conv_ops, {});
  for (const std::string_view& activation : activations) table[count++] = original_layer("linear_act", linear_ops, {&activation, 1});
  table[count++] = original_layer("linear", linear_ops, {});
  table[count++] = original_binary("add_act", add_ops, activations);
  table[count++] = original_binary("add", add_ops, {});
  table[count++] = original_binary("mul_act", mul_ops, activations);
  table[count++] = original_binary("mul", mul_ops, {});
  table[count++] = original_binary("matmul_act", matmul_ops, activations);
  table[count++] = original_binary("matmul", matmul_ops, {});
  for (const SourceRow& source : source_rows)
    table[count++] = {{source.name, source.ops, {}, {}}, original_source_rows, false, annotate_original_sharing};
  return table;
}();

// Quantize and dequantize nodes around what computes in float outside a delegate only cost.
std::string_view limit(PatternRun&, const Node& node) { return constraints::shape_refusal(node); }

}  // namespace
}  // namespace patterns

const PatternTable pattern_table = {
    .name = "coreml", .title = "Core ML", .rows = patterns::rows, .sharing = patterns::sharing, .limit = patterns::limit};
const PatternTable original_pattern_table = {
    .name = "coreml", .title = "Core ML", .rows = patterns::original_rows, .sharing = {}, .types_of_sources = true};

}  // namespace intaglio::coreml
