#include "pt2e/pattern_table.h"

#include <algorithm>
#include <cmath>

#include "pt2e/passes.h"

namespace intaglio::pt2e {
namespace {

// The spec of one operand under a config; nullopt: stays float.
std::optional<AnyQuantizationSpec> spec_of(const PatternOperand& operand, const QuantizationConfig& config) {
  std::optional<QuantizationSpec> spec = operand.role == OperandRole::activation ? config.input_activation
                                         : operand.role == OperandRole::weight   ? config.weight
                                                                                 : config.bias;
  if (!spec) return std::nullopt;
  if (operand.ch_axis) spec->ch_axis = operand.ch_axis;
  return *spec;
}

const std::string& first_argument(const Node& node) { return node.op().schema()->arguments.front().name; }

}  // namespace

bool contains(Ops ops, const Node& node) { return std::ranges::find(ops, node.op().name()) != ops.end(); }

std::vector<ModuleScope> source_stack(const Node& node) {
  std::vector<ModuleScope> result;
  const auto found = node.metadata.find("source_fn_stack");
  std::string_view text = found == node.metadata.end() ? std::string_view() : found->second;
  while (!text.empty()) {  // items `name,type` joined by ';'
    const std::string_view item = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const size_t comma = std::min(item.find(','), item.size());
    result.push_back({std::string(item.substr(0, comma)), std::string(item.substr(std::min(comma + 1, item.size())))});
  }
  return result;
}

Value* first_tensor(const Node& node) {
  const OpSchema* schema = node.op().schema();
  const Argument* argument = schema == nullptr || schema->arguments.empty() ? nullptr : node.find(first_argument(node));
  if (argument == nullptr || !argument->is<Value*>()) return nullptr;
  Value* value = *argument->get_if<Value*>();
  return value != nullptr && value->is_tensor() ? value : nullptr;
}

bool has_float_output(const Node& node) {
  return node.outputs().size() == 1 && node.output()->is_tensor() && is_floating(node.output()->dtype());
}

bool is_large_scalar(double value) { return std::fabs(value) > 3.4028235e15; }

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

bool takes_over_parameters(const PatternTable& table, const Node& node) {
  return contains(table.sharing, node) && !(node.op().schema()->find("mode") && node.string("mode") == "constant");
}

bool PatternRun::has_quantized_source(const Value* value) {
  std::vector<const Value*> path;
  bool found = false;
  for (; value != nullptr; value = first_tensor(*value->producer())) {
    if (const auto known = quantized_sources_.find(value); known != quantized_sources_.end()) {
      found = known->second;
      break;
    }
    path.push_back(value);
    const QuantizationAnnotation* annotation = annotations.find_producer(value);
    found = annotation != nullptr && annotation->annotated && annotation->output_qspec;
    if (found || value->producer() == nullptr || !takes_over_parameters(table, *value->producer())) break;
  }
  for (const Value* passed : path) quantized_sources_[passed] = found;
  return found;
}

bool PatternRun::is_first_of_source(const Node& node, Ops sources) {
  std::vector<ModuleScope> stack = source_stack(node);
  if (stack.empty()) stack = module_stack(node);
  return !stack.empty() && std::ranges::find(sources, stack.back().type) != sources.end() && taken_places_.insert(stack.back().path).second;
}

bool PatternRun::is_softmax_operand(const OperatorMatch& match) {
  if (!softmax_operands_) softmax_operands_ = softmax_operands(program.graph());
  return softmax_operands_->contains(match.last().output());
}

bool PatternRun::reads_constants_only(const OperatorMatch& match) {
  const auto read_by = [&](const Node& node) {
    return std::ranges::all_of(node.inputs(),
                               [&](const Value* value) { return value == match.node->output() || known_.is_constant(value); });
  };
  return read_by(*match.node) && read_by(match.last());
}

void annotate_operands(PatternRun& run, const OperatorMatch& match, const std::string& rule) {
  QuantizationAnnotation inputs;
  for (const auto& [value, operand] : match.operands) {
    const auto known = std::ranges::find(inputs.input_qspec_map, value, [](const auto& entry) { return entry.first; });
    if (known != inputs.input_qspec_map.end()) known->second = spec_of(*operand, run.config);  // one tensor, one edge
    else inputs.input_qspec_map.emplace_back(value, spec_of(*operand, run.config));
    if (operand->role != OperandRole::activation && value->producer() == nullptr) run.annotations.of(value).annotated = true;
  }
  inputs.annotated = true;
  inputs.rule = rule;
  run.annotations.of(match.node) = std::move(inputs);
  QuantizationAnnotation& last = run.annotations.of(&match.last());
  if (run.config.output_activation) last.output_qspec = *run.config.output_activation;
  last.annotated = true;
  last.rule = rule;
}

void annotate_as_input(PatternRun& run, const OperatorMatch& match, const std::string& rule) {
  Value* input = match.node->tensor(first_argument(*match.node));
  const QuantizationAnnotation* producer = run.annotations.find_producer(input);
  QuantizationAnnotation annotation;
  std::optional<AnyQuantizationSpec> spec;
  if (producer != nullptr && producer->annotated && producer->output_qspec) spec = SharedQuantizationSpec{input};
  else if (run.config.input_activation) spec = *run.config.input_activation;
  annotation.input_qspec_map.emplace_back(input, spec);
  annotation.output_qspec = SharedQuantizationSpec{QuantEdge{input, match.node}};
  annotation.annotated = true;
  annotation.rule = rule;
  run.annotations.of(match.node) = std::move(annotation);
}

void annotate_joined(PatternRun& run, const OperatorMatch& match, const std::string& rule) {
  const std::vector<Value*> inputs = match.node->tensors(first_argument(*match.node));
  if (inputs.empty() || !run.config.input_activation) return;
  const auto found = std::ranges::find_if(inputs, [&](const Value* value) { return run.has_quantized_source(value); });
  Value* owner = found != inputs.end() ? *found : inputs.front();
  const SharedQuantizationSpec shared = {QuantEdge{owner, match.node}};
  QuantizationAnnotation annotation;
  annotation.input_qspec_map.emplace_back(owner, *run.config.input_activation);
  std::unordered_set<const Value*> known = {owner};
  for (Value* input : inputs)
    if (known.insert(input).second) annotation.input_qspec_map.emplace_back(input, shared);
  annotation.output_qspec = shared;
  annotation.annotated = true;
  annotation.rule = rule;
  run.annotations.of(match.node) = std::move(annotation);
}

}  // namespace intaglio::pt2e
