#include "backends/exynos/annotators.h"

#include <algorithm>

#include <fmt/format.h>

#include "backends/exynos/op_table.h"

namespace intaglio::exynos {
namespace {

constexpr std::string_view activations[] = {"aten.relu.default",   "aten.relu_.default",    "aten.relu6.default",
                                            "aten.relu6_.default", "aten.hardtanh.default", "aten.hardtanh_.default"};

bool is_float(const Value* value) { return value->is_tensor() && (value->dtype() == DType::float32 || value->dtype() == DType::float16); }

// What the layer's node in the compiler's graph can clamp by itself. The original looks at the lower bound alone, and leaves the layer
// before another clamp without a range.
bool is_part_of_layer(const Node& node, bool is_original) {
  if (!pt2e::contains(activations, node)) return false;
  const bool has_bounds = node.is("aten.hardtanh.default") || node.is("aten.hardtanh_.default");
  return !has_bounds || (node.number("min_val") == 0 && (is_original || node.number("max_val") == 6));
}

QuantizationAnnotation decided(QuantizationAnnotation annotation, std::string_view rule) {
  annotation.annotated = true;
  annotation.rule = fmt::format("exynos.{}", rule);
  return annotation;
}

}  // namespace

void put(QuantizationAnnotation& annotation, Value* value, AnyQuantizationSpec spec) {
  const auto known = std::ranges::find(annotation.input_qspec_map, value, [](const auto& entry) { return entry.first; });
  if (known != annotation.input_qspec_map.end()) known->second = std::move(spec);
  else annotation.input_qspec_map.emplace_back(value, std::move(spec));
}

Value* AnnotatorRun::float_operand(const Node& node, size_t place) {
  const OpSchema* schema = node.op().schema();
  const Argument* argument = schema == nullptr || place >= schema->arguments.size() ? nullptr : node.find(schema->arguments[place].name);
  const auto* value = argument == nullptr ? nullptr : argument->get_if<Value*>();
  return value != nullptr && is_float(*value) ? *value : nullptr;
}

bool AnnotatorRun::is_quantized(const Value* value) const {
  const QuantizationAnnotation* annotation = value->producer() == nullptr ? nullptr : annotations_.find_producer(value);
  return annotation != nullptr && annotation->output_qspec;
}

Value* AnnotatorRun::annotated_ancestor(Value* value) const {
  while (value != nullptr && value->producer() != nullptr) {
    const Node& node = *value->producer();
    if (is_quantized(value)) return value;
    if (annotations_.is_annotated(&node) || node.arguments().empty()) return nullptr;
    const std::vector<Value*> operands = values_in(node.arguments().front().value);
    value = operands.empty() ? nullptr : operands.front();
  }
  return nullptr;
}

AnyQuantizationSpec AnnotatorRun::activation_of(Value* value) const {
  const QuantizationAnnotation* made = annotations_.find_producer(value);
  const bool is_fixed = made != nullptr && made->output_qspec && std::holds_alternative<FixedQParamsQuantizationSpec>(*made->output_qspec);
  return is_fixed ? AnyQuantizationSpec(SharedQuantizationSpec{value}) : activation();
}

void AnnotatorRun::set(const Node& node, QuantizationAnnotation annotation, std::string_view rule) {
  annotations_.of(&node) = decided(std::move(annotation), rule);
}

void AnnotatorRun::set_part(const Value* part, AnyQuantizationSpec spec, std::string_view rule) {
  annotations_.of(part) = decided({.output_qspec = std::move(spec)}, rule);
}

// The compiler takes weights as data.
bool AnnotatorRun::has_constant_weight(const Node& layer) {
  const Value* weight = float_operand(layer, 1);
  return is_original_ || (weight != nullptr && weights_.is_constant(weight));
}

// Quantize and dequantize nodes around what is in no graph only cost.
bool AnnotatorRun::fits_graph(const Node& node) const { return is_original_ || shape_refusal(node).empty(); }

void AnnotatorRun::annotate_layers_with_activations() {
  for (Node* node : program_.graph().node_list()) {
    if (!is_part_of_layer(*node, is_original_) || annotations_.is_annotated(node) || !is_wanted(*node)) continue;
    Value* read = float_operand(*node, 0);
    Node* producer = read == nullptr ? nullptr : read->producer();
    if (producer == nullptr || !read->has_one_user() || !pt2e::contains(layer_ops, *producer) || annotations_.is_annotated(producer) ||
        !is_wanted(*producer))
      continue;
    Value *input = float_operand(*producer, 0), *weight = float_operand(*producer, 1);
    if (input == nullptr || weight == nullptr) continue;
    if (!has_constant_weight(*producer) || !fits_graph(*producer)) continue;
    QuantizationAnnotation inputs, output;
    put(inputs, input, activation());
    put(inputs, weight, *config_.weight);
    output.output_qspec = config_.output_activation;
    set(*producer, std::move(inputs), "layer_with_activation");
    set(*node, std::move(output), "layer_with_activation");
  }
}

void AnnotatorRun::annotate_node(Node& node) {
  if (annotations_.is_annotated(&node) || !is_wanted(node)) return;
  const AnnotatorRow* row = find_row(node);
  if (row == nullptr) return annotations_.refuse(&node, "Exynos's quantizer has no rule for this op");
  const auto is_known = [&](const Value* value) { return known_.is_constant(value); };
  if (!is_original_ && std::ranges::all_of(node.inputs(), is_known))
    return annotations_.refuse(&node, fmt::format("{}: it reads constants only, and is computed ahead in float", row->name));
  if (!fits_graph(node)) return annotations_.refuse(&node, fmt::format("{}: the compiler takes {}", row->name, shape_refusal(node)));
  if (pt2e::contains(layer_ops, node) && !has_constant_weight(node))
    return annotations_.refuse(&node, fmt::format("{}: the weight is a float constant", row->name));
  if (auto annotation = row->annotate(*this, *row, node)) set(node, std::move(*annotation), row->name);
  else annotations_.refuse(&node, fmt::format("{}: what it reads is not a float tensor, or nothing before it is quantized", row->name));
}

bool AnnotatorRun::is_read_quantized(const Value* value) const {
  return std::ranges::any_of(value->users(), [&](const Node* user) {
    const QuantizationAnnotation* annotation = annotations_.find(user);
    return annotation != nullptr && std::ranges::any_of(annotation->input_qspec_map, [&](const auto& entry) {
             return entry.first == value && entry.second.has_value();
           });
  });
}

void AnnotatorRun::annotate() {
  annotate_layers_with_activations();
  for (Node* node : program_.graph().node_list()) annotate_node(*node);
  const auto is_wanted_input = [&](const Value* input) {
    if (!is_original_) return is_read_quantized(input);
    return !filter_ || std::ranges::any_of(std::vector<Node*>(input->users()), [&](const Node* user) { return filter_(*user); });
  };
  for (const Value* input : program_.user_inputs())
    if (is_float(input) && is_wanted_input(input)) annotations_.of(input) = decided({.output_qspec = config_.output_activation}, "input");
}

}  // namespace intaglio::exynos
