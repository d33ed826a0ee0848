#include "pt2e/operator_pattern.h"

#include <algorithm>

namespace intaglio {

bool contains(std::span<const std::string_view> ops, const Node& node) {
  return std::find(ops.begin(), ops.end(), node.op().name()) != ops.end();
}

std::optional<OperatorMatch> match_operator(const OperatorPattern& pattern, Node& node) {
  if (!contains(pattern.ops, node) || node.outputs().size() != 1) return std::nullopt;
  OperatorMatch match;
  match.node = &node;
  if (!pattern.tail.empty()) {
    const Value* result = node.output();
    if (!result->has_one_user() || !contains(pattern.tail, *result->users().front())) return std::nullopt;
    match.tail = result->users().front();
    if (match.tail->outputs().size() != 1) return std::nullopt;
  }
  for (const PatternOperand& operand : pattern.operands) {
    const Argument* argument = node.find(operand.argument);
    if (argument == nullptr || !argument->is<Value*>()) continue;
    Value* value = *argument->get_if<Value*>();
    if (value != nullptr && value->is_tensor()) match.operands.push_back({value, &operand});
  }
  return match;
}

std::optional<AnyQuantizationSpec> spec_of(const PatternOperand& operand, const QuantizationConfig& config) {
  std::optional<QuantizationSpec> spec = operand.role == OperandRole::activation ? config.input_activation
                                         : operand.role == OperandRole::weight   ? config.weight
                                                                                 : config.bias;
  if (!spec) return std::nullopt;
  if (operand.ch_axis) spec->ch_axis = operand.ch_axis;
  return *spec;
}

void annotate_match(const OperatorMatch& match, const QuantizationConfig& config, const std::string& rule, Annotations& annotations) {
  QuantizationAnnotation inputs;
  for (const auto& [value, operand] : match.operands) {
    const auto known = std::find_if(inputs.input_qspec_map.begin(), inputs.input_qspec_map.end(),
                                    [&, value = value](const auto& entry) { return entry.first == value; });
    if (known != inputs.input_qspec_map.end()) known->second = spec_of(*operand, config);  // one tensor, one edge
    else inputs.input_qspec_map.emplace_back(value, spec_of(*operand, config));
  }
  inputs.annotated = true;
  inputs.rule = rule;
  annotations.of(match.node) = std::move(inputs);
  QuantizationAnnotation& last = annotations.of(&match.last());
  if (config.output_activation) last.output_qspec = *config.output_activation;
  last.annotated = true;
  last.rule = rule;
}

}  // namespace intaglio
