#include "backends/xnnpack/int8_chains.h"

#include <algorithm>

#include "backends/common/gemm_operands.h"
#include "backends/xnnpack/row_weights.h"
#include "quant/int32_sums.h"

namespace intaglio::xnnpack {

using common::GemmOperands, common::GemmWeight, common::ProgramFacts;

namespace {

// The parameters that the integer tensor itself was made with, as far as the graph tells.
const QuantParams* params_of_source(const ProgramFacts& facts, const Value* source) {
  if (const Node* producer = source->producer(); producer && !facts.is_constant(source)) return facts.params_of(*producer);
  const auto reader = std::ranges::find_if(source->users(), [](const Node* user) { return qdq::is_tensor_or_channel_dequantize(*user); });
  return reader == source->users().end() ? nullptr : facts.params_of(**reader);
}

// The int8 parameters an activation operand is read with; null when it is float.
const QuantParams* operand_params(const ProgramFacts& facts, const Value* value) {
  const Node* node = qdq::dequantize_of(value);
  return node && is_int8_dequantize(facts, *node) ? facts.params_of(*node) : nullptr;
}

// int8, zero points 0, scales that the runtime takes, per tensor or along `channel_axis`.
bool is_int8_weight(const GemmWeight& weight, int64_t channel_axis) {
  if (!weight.params) return false;
  const QuantParams& params = *weight.params;
  return params.dtype == DType::int8 && weight.data.dtype() == DType::int8 && (params.is_per_tensor() || params.axis() == channel_axis) &&
         (params.is_per_tensor() || static_cast<int64_t>(params.scale.size()) == weight.data.size(channel_axis)) &&
         std::ranges::all_of(params.zero_point, [](int64_t zero) { return zero == 0; }) &&
         std::ranges::all_of(params.scale, is_usable_scale);
}

// A constant int8 weight in a form that the kernels take.
std::optional<GemmWeight> int8_weight(const ProgramFacts& facts, const GemmOperands& operands) {
  auto weight = common::gemm_weight(facts, operands.weight);
  if (!weight || !is_int8_weight(*weight, operands.channel_axis)) return std::nullopt;
  // XNNPACK has no per-channel scales for grouped transposed convolutions.
  if (operands.transposed && weight->params->is_per_channel() && operands.groups != 1) return std::nullopt;
  if (operands.bias && !facts.is_constant(operands.bias)) return std::nullopt;
  return weight;
}

// XNNPACK's dynamic kernels: int8 weights with a scale per channel, float results.
std::optional<qdq::Dynamic> dynamic_gemm(const ProgramFacts& facts, const Features& features, const Node& node) {
  const auto operands = common::gemm_operands(node);
  if (!operands) return std::nullopt;
  const auto dynamic = qdq::dynamic_of(operands->input);
  if (!dynamic || !qdq::has_one_reader(*dynamic) || dynamic->dtype != DType::int8) return std::nullopt;
  if (dynamic->source->dtype() != node.output()->dtype()) return std::nullopt;
  if (const auto rows = row_weight(facts, features, operands->weight)) {
    const bool is_taken = node.is("aten.linear.default") && dynamic->per_token && rows->refusal.empty();
    return is_taken && (!operands->bias || facts.is_constant(operands->bias)) ? dynamic : std::nullopt;
  }
  const auto weight = int8_weight(facts, *operands);
  if (!weight) return std::nullopt;
  if (!features.more_dynamic && (!weight->params->is_per_channel() || weight->data.rank() == 3)) return std::nullopt;
  // The runtime refuses depthwise nodes here; as grouped convolutions they run, slower than in float, which is why our
  // quantizer leaves them alone.
  const bool convolution = node.is("aten.convolution.default") && !operands->transposed;
  if (convolution && weight->data.size(1) == 1 && !features.more_dynamic) return std::nullopt;
  return dynamic;
}

// The runtime refuses to raise sums by 256 or more.
bool takes_scales(const ProgramFacts& facts, const Node& node, const QuantParams& output) {
  const auto operands = common::gemm_operands(node);
  const auto weight = common::gemm_weight(facts, operands->weight);
  const double input = operand_params(facts, operands->input)->scale[0];
  return std::ranges::all_of(weight->params->scale, [&](double scale) { return input * scale / output.scale[0] < 256; });
}

bool operands_are_int8(const ProgramFacts& facts, const Node& node, const OpRule& rule, const qdq::Chain& chain) {
  if (rule.int8 == Int8::gemm) {
    const auto operands = common::gemm_operands(node);
    return operands && operand_params(facts, operands->input) && int8_weight(facts, *operands);
  }
  for (const Value* input : node.inputs()) {
    const QuantParams* params = operand_params(facts, input);
    if (!params) return false;
    if (rule.int8 == Int8::moves && !(*params == chain.output)) return false;
  }
  return true;
}

bool may_fuse(const OpRule& rule, const Features& features, const Node& activation) {
  if (rule.int8_activation == Int8Activation::none) return false;
  const auto bounds = qdq::clamp_bounds(activation);
  if (!bounds || !(bounds->min < bounds->max)) return false;
  if (features.int8_activations) return true;
  if (rule.int8_activation == Int8Activation::relu_and_hardtanh)
    return activation.is("aten.relu.default") || activation.is("aten.hardtanh.default");
  return rule.int8_activation == Int8Activation::relu && activation.is("aten.relu.default");
}

// What is added to the integer sums: the bias of a layer whose input has known parameters.
std::vector<float> integer_bias(const ProgramFacts& facts, const GemmOperands& operands, size_t outputs) {
  const std::optional<Tensor> bias = facts.constant_value(operands.bias);
  if (!bias) return {};
  const Tensor floats = converted(*bias, DType::float32).contiguous();
  std::vector<float> values(floats.span<float>().begin(), floats.span<float>().end());
  if (values.size() == 1) values.resize(outputs, values[0]);
  return values.size() == outputs ? values : std::vector<float>();
}

}  // namespace

bool leaves_int32(const ProgramFacts& facts, const Node& node) {
  const auto operands = common::gemm_operands(node);
  const auto weight = operands ? int8_weight(facts, *operands) : std::nullopt;
  if (!weight) return false;
  quant::SummedLayer layer{.weight = weight->data, .channel_axis = operands->channel_axis, .groups = operands->groups};
  const QuantParams* input = operand_params(facts, operands->input);
  if (input && operands->bias) {
    layer.bias = integer_bias(facts, *operands, layer.outputs());
    layer.input_scale = input->scale[0];
  }
  return !quant::fits_int32(layer, *weight->params);
}

bool is_int8_activation(const QuantParams& params) {
  if (!params.is_per_tensor() || params.dtype != DType::int8 || params.quant_min != -128 || params.quant_max != 127) return false;
  return is_usable_scale(params.scale[0]) && params.zero_point[0] >= -128 && params.zero_point[0] <= 127;
}

bool is_int8_dequantize(const ProgramFacts& facts, const Node& node) {
  if (!qdq::is_tensor_or_channel_dequantize(node) || node.output()->dtype() != DType::float32) return false;
  const QuantParams* stated = facts.params_of(node);
  if (!stated) return false;
  // What range the numbers may have used does not matter to a reader.
  QuantParams params = *stated;
  params.quant_min = -128;
  params.quant_max = 127;
  if (!is_int8_activation(params)) return false;
  const QuantParams* source = params_of_source(facts, node.tensor("input"));
  return source && source->scale == params.scale && source->zero_point == params.zero_point && source->dtype == params.dtype;
}

bool is_int8_quantize(const ProgramFacts& facts, const Node& node) {
  if (!qdq::is_tensor_or_channel_quantize(node) || node.tensor("input")->dtype() != DType::float32) return false;
  const QuantParams* params = facts.params_of(node);
  return params && is_int8_activation(*params);
}

Int8Chains find_int8_chains(const ProgramFacts& facts, const Features& features, const RuleRefusals& refused) {
  const ExportedProgram& program = facts.program();
  Int8Chains chains;
  for (Node* node : program.graph().node_list()) {
    const OpRule* rule = find_rule(*node);
    if (!rule || rule->int8 == Int8::none || chains.absorbed.contains(node)) continue;
    if (!features.int8_unary && rule->beyond == Beyond::int8) continue;
    if (refused.contains(node) || facts.makes_constant(*node)) continue;
    if (features.checked_sums && rule->int8 == Int8::gemm && leaves_int32(facts, *node)) continue;
    if (const auto dynamic = rule->int8 == Int8::gemm ? dynamic_gemm(facts, features, *node) : std::nullopt) {
      chains.dynamic_by_op.emplace(node, *dynamic);
      chains.dynamic_parts.insert({dynamic->choose, dynamic->quantize, dynamic->dequantize});
      continue;
    }
    if (common::first_broken(rule->int8_constraints, RuleContext{facts, *node, features})) continue;
    auto chain = qdq::find_chain(program, *node, [&](const Node& user) { return may_fuse(*rule, features, user); });
    if (!chain || !is_int8_activation(chain->output)) continue;
    if (std::ranges::any_of(chain->quantizes, [&](const Node* q) { return !is_int8_quantize(facts, *q); })) continue;
    if (!operands_are_int8(facts, *node, *rule, *chain)) continue;
    if (rule->int8 == Int8::gemm && !takes_scales(facts, *node, chain->output)) {
      chains.coarse.push_back(node);
      continue;
    }
    if (chain->activation) chains.absorbed.insert(chain->activation);
    chains.absorbed.insert(chain->quantizes.begin(), chain->quantizes.end());
    chains.by_op.emplace(node, std::move(*chain));
  }
  return chains;
}

}  // namespace intaglio::xnnpack
