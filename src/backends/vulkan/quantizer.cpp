// Linears, whose weights the runtime has integer kernels for.
#include <fmt/format.h>

#include <intaglio/error.h>
#include <intaglio/vulkan_quantizer.h>

#include "pt2e/pattern_table.h"
#include "quant/intx.h"

namespace intaglio::vulkan {

using namespace pt2e;

namespace {

constexpr std::string_view linear_ops[] = {"aten.linear.default"};
// Nothing that ExecuTorch's configurations give has a quantized result to pass on; a user's own may.
constexpr std::string_view sharing[] = {"aten.relu.default",
                                        "aten.hardtanh.default",
                                        "aten.hardtanh_.default",
                                        "aten.max_pool2d.default",
                                        "aten.mean.default",
                                        "aten.mean.dim",
                                        "aten.permute.default",
                                        "aten.permute_copy.default",
                                        "aten.squeeze.dim",
                                        "aten.squeeze_copy.dim",
                                        "aten.adaptive_avg_pool2d.default",
                                        "aten.view_copy.default",
                                        "aten.view.default",
                                        "aten.slice_copy.Tensor",
                                        "aten.flatten.using_ints"};
constexpr std::string_view lifted[] = {"aten.add.Tensor", "aten.mul.Tensor"};

constexpr PatternOperand operands[] = {{"input"}, {"weight", OperandRole::weight}, {"bias", OperandRole::bias}};

// A weight that is computed has no rows that a scale could be found for ahead.
bool constant_weight(PatternRun& run, const OperatorMatch& match) {
  const Value* weight = match.node->tensor("weight");
  return has_float_output(*match.node) && is_floating(weight->dtype()) && run.constants.is_constant(weight);
}

constexpr PatternConstraint linear_rows[] = {{"the weight is a float constant, the input is float", constant_weight}};

constexpr PatternRow patterns[] = {{{"linear", linear_ops, {}, operands}, linear_rows, true}};
constexpr PatternRow torchao_patterns[] = {
    {{"linear", linear_ops, {}, operands}, {}, true, annotate_operands, RowScope::nodes, linear_ops}};

constexpr PatternTable table = {"vulkan", "Vulkan", patterns, sharing, lifted};
constexpr PatternTable torchao_table = {"vulkan", "Vulkan", torchao_patterns, sharing, lifted};

// The range of int8's integers that is asked for.
quant::QuantRange range(std::string_view what, int64_t bits, std::optional<int64_t> qmin, std::optional<int64_t> qmax) {
  const quant::QuantRange of_bits = quant::intx_range(static_cast<int>(bits)), of_type = quant::range_of(DType::int8);
  const quant::QuantRange range = {qmin.value_or(of_bits.min), qmax.value_or(of_bits.max)};
  if (range.min < of_type.min || range.max > of_type.max || range.min > 0 || range.max < 0 || range.min == range.max)
    throw_usage(fmt::format("{0}_qmin and {0}_qmax: integers from {1} to {2}; take bounds within [{3}, {4}] with 0 between them", what,
                            range.min, range.max, of_type.min, of_type.max));
  return range;
}

QuantizationSpec int8_spec(quant::QuantRange range) {
  QuantizationSpec spec;
  spec.quant_min = range.min;
  spec.quant_max = range.max;
  return spec;
}

}  // namespace

VulkanQuantizer::VulkanQuantizer(Compat compat) : PatternQuantizer(compat == Compat::torchao ? torchao_table : table, compat) {}

QuantizationConfig get_symmetric_quantization_config(const SymmetricQuantizationOptions& options) {
  if (options.weight_bits != 8 && options.weight_bits != 4)
    throw_usage(fmt::format("weight_bits={}: Vulkan's weights have 8 or 4 bits", options.weight_bits));
  if (options.act_bits != 8)
    throw_usage(fmt::format("act_bits={}: inputs become int8 at run time, 8 is the only choice", options.act_bits));
  QuantizationConfig config;
  config.weight = int8_spec(range("weight", options.weight_bits, options.weight_qmin, options.weight_qmax));
  config.weight->qscheme = QScheme::per_channel_symmetric;
  config.weight->ch_axis = 0;
  config.weight->observer = per_channel_min_max_observer();
  if (!options.is_dynamic) return config;
  config.input_activation = int8_spec(range("act", options.act_bits, options.act_qmin, options.act_qmax));
  config.input_activation->qscheme = QScheme::per_tensor_affine;
  config.input_activation->is_dynamic = true;
  config.input_activation->observer = placeholder_observer();
  return config;
}

}  // namespace intaglio::vulkan
