#include "backends/xnnpack/int8_chains.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/xnnpack/lower/gemm_weight.h"
#include "backends/xnnpack/rules.h"

namespace intaglio::xnnpack {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// The parameters that the integer tensor itself was made with, as far as the graph tells.
std::optional<QuantParams> params_of_source(const ExportedProgram& program, const Value* source) {
  if (const Node* producer = source->producer()) return qdq::params_of(program, *producer);
  for (const Node* user : source->users())
    if (qdq::is_tensor_or_channel_dequantize(*user)) return qdq::params_of(program, *user);
  return std::nullopt;
}

// The int8 parameters an activation operand is read with; nullopt when it is float.
std::optional<QuantParams> operand_params(const ExportedProgram& program, const Value* value) {
  const Node* node = qdq::dequantize_of(value);
  if (!node || !is_int8_dequantize(program, *node)) return std::nullopt;
  return qdq::params_of(program, *node);
}

// A constant int8 weight in a form that the kernels take.
std::optional<GemmWeight> int8_weight(const ExportedProgram& program, const GemmOperands& operands) {
  auto weight = gemm_weight(program, operands.weight);
  if (!weight || !is_int8_weight(*weight, operands.channel_axis)) return std::nullopt;
  // XNNPACK has no per-channel scales for grouped transposed convolutions.
  if (operands.transposed && weight->params->is_per_channel() && operands.groups != 1) return std::nullopt;
  if (operands.bias && !is_constant_value(program, operands.bias)) return std::nullopt;
  return weight;
}

bool gemm_is_int8(const ExportedProgram& program, const GemmOperands& operands) {
  return operand_params(program, operands.input) && int8_weight(program, operands);
}

// XNNPACK's dynamic kernels: int8 weights with a scale per channel, float results.
std::optional<qdq::Dynamic> dynamic_gemm(const ExportedProgram& program, const Features& features, const Node& node) {
  const auto operands = gemm_operands(program, node);
  if (!operands) return std::nullopt;
  const auto dynamic = qdq::dynamic_of(operands->input);
  if (!dynamic || !qdq::has_one_reader(*dynamic) || dynamic->dtype != DType::int8) return std::nullopt;
  if (dynamic->source->dtype() != node.output()->dtype()) return std::nullopt;
  const auto weight = int8_weight(program, *operands);
  if (!weight) return std::nullopt;
  if (!features.more_dynamic && (!weight->params->is_per_channel() || weight->data.rank() == 3)) return std::nullopt;
  // The runtime refuses depthwise nodes here; as grouped convolutions they run, slower than in float, which is why our
  // quantizer leaves them alone.
  const bool convolution = node.is("aten.convolution.default") && !operands->transposed;
  if (convolution && weight->data.size(1) == 1 && !features.more_dynamic) return std::nullopt;
  return dynamic;
}

bool operands_are_int8(const ExportedProgram& program, const Node& node, const OpRule& rule, const qdq::Chain& chain) {
  if (rule.int8 == Int8::gemm) {
    const auto operands = gemm_operands(program, node);
    return operands && gemm_is_int8(program, *operands);
  }
  for (const Value* input : node.inputs()) {
    const auto params = operand_params(program, input);
    if (!params) return false;
    if (rule.int8 == Int8::moves && !(*params == chain.output)) return false;
  }
  return true;
}

bool may_fuse(const OpRule& rule, const Features& features, const Node& activation) {
  if (rule.int8_activation == Int8Activation::none) return false;
  const auto bounds = clamp_bounds(activation);
  if (!bounds || !(bounds->min < bounds->max)) return false;
  if (features.int8_activations) return true;
  if (rule.int8_activation == Int8Activation::relu_and_hardtanh)
    return activation.is("aten.relu.default") || activation.is("aten.hardtanh.default");
  return rule.int8_activation == Int8Activation::relu && activation.is("aten.relu.default");
}

}  // namespace

bool is_int8_activation(const QuantParams& params) {
  if (!params.is_per_tensor() || params.dtype != DType::int8 || params.quant_min != -128 || params.quant_max != 127) return false;
  const auto scale = static_cast<float>(params.scale[0]);
  return std::isfinite(scale) && scale >= std::numeric_limits<float>::min() && params.zero_point[0] >= -128 && params.zero_point[0] <= 127;
}

bool is_int8_dequantize(const ExportedProgram& program, const Node& node) {
  if (!qdq::is_tensor_or_channel_dequantize(node) || node.output()->dtype() != DType::float32) return false;
  auto params = qdq::params_of(program, node);
  if (!params) return false;
  // What range the numbers may have used does not matter to a reader.
  params->quant_min = -128;
  params->quant_max = 127;
  if (!is_int8_activation(*params)) return false;
  auto source = params_of_source(program, node.tensor("input"));
  if (!source) return false;
  return source->scale == params->scale && source->zero_point == params->zero_point && source->dtype == params->dtype;
}

bool is_int8_quantize(const ExportedProgram& program, const Node& node) {
  if (!qdq::is_tensor_or_channel_quantize(node) || node.tensor("input")->dtype() != DType::float32) return false;
  const auto params = qdq::params_of(program, node);
  return params && is_int8_activation(*params);
}

std::optional<Bounds> clamp_bounds(const Node& node) {
  if (node.is("aten.relu.default")) return Bounds{0, infinity};
  if (node.is("aten.relu6.default")) return Bounds{0, 6};
  if (node.is("aten.hardtanh.default"))
    return Bounds{static_cast<float>(node.number("min_val")), static_cast<float>(node.number("max_val"))};
  if (node.is("aten.clamp.default"))
    return Bounds{static_cast<float>(node.optional_number("min").value_or(-infinity)),
                  static_cast<float>(node.optional_number("max").value_or(infinity))};
  return std::nullopt;
}

Int8Chains find_int8_chains(const ExportedProgram& program, const Features& features) {
  Int8Chains chains;
  for (Node* node : program.graph().node_list()) {
    const OpRule* rule = find_rule(*node);
    if (!rule || rule->int8 == Int8::none || chains.absorbed.contains(node)) continue;
    if (!features.int8_unary && rule->beyond == Beyond::int8) continue;
    if (refusal_of(program, features, *rule, *node)) continue;
    if (const auto dynamic = rule->int8 == Int8::gemm ? dynamic_gemm(program, features, *node) : std::nullopt) {
      chains.dynamic_by_op.emplace(node, *dynamic);
      chains.dynamic_parts.insert({dynamic->choose, dynamic->quantize, dynamic->dequantize});
      continue;
    }
    const RuleContext context{program, *node, features};
    if (!std::ranges::all_of(rule->int8_constraints, [&](const Constraint& row) { return row.holds(context); })) continue;
    auto chain = qdq::find_chain(program, *node, [&](const Node& user) { return may_fuse(*rule, features, user); });
    if (!chain || !is_int8_activation(chain->output)) continue;
    if (std::ranges::any_of(chain->quantizes, [&](const Node* q) { return !is_int8_quantize(program, *q); })) continue;
    if (!operands_are_int8(program, *node, *rule, *chain)) continue;
    if (chain->activation) chains.absorbed.insert(chain->activation);
    chains.absorbed.insert(chain->quantizes.begin(), chain->quantizes.end());
    chains.by_op.emplace(node, std::move(*chain));
  }
  return chains;
}

}  // namespace intaglio::xnnpack
