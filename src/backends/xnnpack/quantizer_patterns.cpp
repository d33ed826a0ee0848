#include "backends/xnnpack/quantizer_patterns.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "interpreter/constant_values.h"
#include "pt2e/operator_pattern.h"

namespace intaglio::xnnpack {
namespace {

using Ops = std::span<const std::string_view>;

constexpr std::array<std::string_view, 1> linear_ops = {"aten.linear.default"};
constexpr std::array<std::string_view, 6> conv_ops = {"aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default",
                                                      "aten.conv2d.padding", "aten.conv3d.default", "aten.conv3d.padding"};
constexpr std::array<std::string_view, 3> conv_transpose_ops = {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input",
                                                                "aten.conv_transpose3d.input"};
constexpr std::array<std::string_view, 2> add_ops = {"aten.add.Tensor", "aten.add_.Tensor"};
constexpr std::array<std::string_view, 2> mul_ops = {"aten.mul.Tensor", "aten.mul_.Tensor"};
constexpr std::array<std::string_view, 1> pool_ops = {"aten.adaptive_avg_pool2d.default"};
constexpr std::array<std::string_view, 1> cat_ops = {"aten.cat.default"};

constexpr std::array<std::string_view, 2> relu = {"aten.relu.default", "aten.relu_.default"};
// XNNPACK clips in the operator itself, so the output's range is the clipped one.
constexpr std::array<std::string_view, 8> clip = {"aten.relu.default",      "aten.relu_.default", "aten.hardtanh.default",
                                                  "aten.hardtanh_.default", "aten.relu6.default", "aten.relu6_.default",
                                                  "aten.clamp.default",     "aten.clamp_.default"};

constexpr std::array weighted = {PatternOperand{"input"}, PatternOperand{"weight", OperandRole::weight},
                                 PatternOperand{"bias", OperandRole::bias}};
// A transposed convolution's weight is [C_in, C_out, ...].
constexpr std::array weighted_transposed = {PatternOperand{"input"}, PatternOperand{"weight", OperandRole::weight, 1},
                                            PatternOperand{"bias", OperandRole::bias}};
constexpr std::array only_self = {PatternOperand{"self"}};
constexpr std::array both = {PatternOperand{"self"}, PatternOperand{"other"}};

// The operators `set_operator_type` knows a pattern by, under Compat::torchao.
constexpr std::array<std::string_view, 3> conv_targets = {"aten.conv2d.default", "aten.conv1d.default", "aten.convolution.default"};
constexpr std::array<std::string_view, 6> conv_transpose_targets = {"aten.conv_transpose1d", "aten.conv_transpose1d.default",
                                                                    "aten.conv_transpose2d", "aten.conv_transpose2d.input",
                                                                    "aten.conv_transpose3d", "aten.conv_transpose3d.input"};
constexpr std::array<std::string_view, 1> add_targets = {"aten.add.Tensor"};
constexpr std::array<std::string_view, 1> mul_targets = {"aten.mul.Tensor"};

enum class Kind : uint8_t { linear, conv, conv_transpose, elementwise, pool, cat, clip };

struct Row {
  OperatorPattern pattern;
  Kind kind;
  bool dynamic;  // tried for dynamic configurations too
  Ops targets;
};

// The first row that takes a node wins. Activation rows stand before the plain ones of the same operator.
constexpr std::array rows = {
    Row{{"linear_relu", linear_ops, clip, weighted}, Kind::linear, false, linear_ops},
    Row{{"linear", linear_ops, {}, weighted}, Kind::linear, true, linear_ops},
    Row{{"conv_relu", conv_ops, clip, weighted}, Kind::conv, false, conv_targets},
    Row{{"conv", conv_ops, {}, weighted}, Kind::conv, true, conv_targets},
    Row{{"conv_transpose_relu", conv_transpose_ops, clip, weighted_transposed}, Kind::conv_transpose, false, conv_transpose_targets},
    Row{{"conv_transpose", conv_transpose_ops, {}, weighted_transposed}, Kind::conv_transpose, true, conv_transpose_targets},
    Row{{"adaptive_avg_pool2d", pool_ops, {}, {}}, Kind::pool, false, pool_ops},
    Row{{"add_relu", add_ops, clip, both}, Kind::elementwise, false, add_targets},
    Row{{"add", add_ops, {}, both}, Kind::elementwise, false, add_targets},
    Row{{"mul_relu", mul_ops, clip, both}, Kind::elementwise, false, mul_targets},
    Row{{"mul", mul_ops, {}, both}, Kind::elementwise, false, mul_targets},
    Row{{"cat", cat_ops, {}, {}}, Kind::cat, false, cat_ops},
    Row{{"clip", clip, {}, only_self}, Kind::clip, false, clip},
};

// torchao's table: plain rows of convolutions first, and only relu is an activation.
constexpr std::array torchao_rows = {
    Row{{"linear_relu", linear_ops, relu, weighted}, Kind::linear, false, linear_ops},
    Row{{"linear", linear_ops, {}, weighted}, Kind::linear, true, linear_ops},
    Row{{"conv", conv_ops, {}, weighted}, Kind::conv, true, conv_targets},
    Row{{"conv_transpose", conv_transpose_ops, {}, weighted_transposed}, Kind::conv_transpose, true, conv_transpose_targets},
    Row{{"conv_relu", conv_ops, relu, weighted}, Kind::conv, false, conv_targets},
    Row{{"conv_transpose_relu", conv_transpose_ops, relu, weighted_transposed}, Kind::conv_transpose, false, conv_transpose_targets},
    Row{{"adaptive_avg_pool2d", pool_ops, {}, {}}, Kind::pool, false, pool_ops},
    Row{{"add_relu", add_ops, relu, both}, Kind::elementwise, false, add_targets},
    Row{{"add", add_ops, {}, both}, Kind::elementwise, false, add_targets},
    Row{{"mul_relu", mul_ops, relu, both}, Kind::elementwise, false, mul_targets},
    Row{{"mul", mul_ops, {}, both}, Kind::elementwise, false, mul_targets},
    Row{{"cat", cat_ops, {}, {}}, Kind::cat, false, cat_ops},
};

constexpr std::array<std::string_view, 20> sharing_ops = {
    "aten.relu.default",      "aten.hardtanh.default",   "aten.hardtanh_.default", "aten.max_pool2d.default",
    "aten.mean.default",      "aten.mean.dim",           "aten.permute.default",   "aten.permute_copy.default",
    "aten.transpose.int",     "aten.squeeze.dim",        "aten.squeeze_copy.dim",  "aten.adaptive_avg_pool2d.default",
    "aten.view_copy.default", "aten.view.default",       "aten.reshape.default",   "aten.slice.Tensor",
    "aten.slice_copy.Tensor", "aten.flatten.using_ints", "aten.dropout.default",   "aten.dropout_.default"};

// The first argument as a tensor; null when it is something else.
Value* first_tensor(const Node& node) {
  const OpSchema* schema = node.op().schema();
  const Argument* argument = schema == nullptr || schema->arguments.empty() ? nullptr : node.find(schema->arguments.front().name);
  if (argument == nullptr || !argument->is<Value*>()) return nullptr;
  Value* value = *argument->get_if<Value*>();
  return value != nullptr && value->is_tensor() ? value : nullptr;
}

bool is_dynamic(const QuantizationConfig& config) { return config.input_activation && config.input_activation->is_dynamic; }

bool has_float_output(const Node& node) {
  return node.outputs().size() == 1 && node.output()->is_tensor() && is_floating(node.output()->dtype());
}

class Annotator {
 public:
  Annotator(const ExportedProgram& program, const QuantizationConfig& config, const NodeFilter& filter, std::string_view op, Compat compat,
            Annotations& annotations)
      : program_(program),
        config_(config),
        filter_(filter),
        op_(op),
        torchao_(compat == Compat::torchao),
        annotations_(annotations),
        constants_(program) {}

  void run() {
    const auto& table = torchao_ ? std::span<const Row>(torchao_rows) : std::span<const Row>(rows);
    for (const Row& row : table) {
      if (is_dynamic(config_) && !row.dynamic) continue;
      if (torchao_ && !op_.empty() && std::find(row.targets.begin(), row.targets.end(), op_) == row.targets.end()) continue;
      for (Node* node : program_.graph().node_list()) {
        const auto match = match_operator(row.pattern, *node);
        if (!match) continue;
        const std::optional<std::string_view> why = refusal(row, *match);
        if (!why) annotate(row, *match);
        else if (*why != elsewhere) annotations_.refuse(node, std::string(row.pattern.name) + ": " + std::string(*why));
      }
    }
  }

 private:
  static constexpr std::string_view elsewhere = "";  // another row or configuration decides

  // What of the row's conditions the node breaks; nullopt when the row takes it.
  std::optional<std::string_view> refusal(const Row& row, const OperatorMatch& match) {
    if (!torchao_ && !op_.empty() && !is_operator(op_, *match.node)) return elsewhere;
    if (!is_free(row, match) || !passes_filter(row, match)) return elsewhere;
    switch (row.kind) {
      case Kind::linear: return unless(torchao_ || takes_weight(match), needs_weight);
      case Kind::conv_transpose:
        if (match.node->integer("groups") != 1) return "a transposed convolution has one group";
        [[fallthrough]];
      case Kind::conv:
        if (left_to_relu(row, match)) return elsewhere;
        if (!takes_dynamic_conv(match)) return "dynamic quantization takes 1-d and 2-d convolutions that are not depthwise";
        return unless(torchao_ || takes_weight(match), needs_weight);
      case Kind::elementwise:
        return unless(takes_elementwise(match), "both operands are float32 tensors, and no constant is too large for a histogram");
      case Kind::pool:
        return unless(torchao_ ? is_module_pool(*match.node) : has_float_output(*match.node), "a pool of its own over float images");
      case Kind::cat: return unless(torchao_ || has_float_output(*match.node), "the tensors are float");
      case Kind::clip:  // what was not taken with its operator has a range of its own, not that of before the clip
        return unless(has_float_output(*match.node) && has_source(first_tensor(*match.node)), "what it clips is quantized");
    }
    return elsewhere;
  }
  static constexpr std::string_view needs_weight = "the weight is a float constant, the activation is float";
  static std::optional<std::string_view> unless(bool holds, std::string_view rule) {
    if (holds) return std::nullopt;
    return rule;
  }

  // torchao marks weights too, so that a second call of a shared convolution is left in float.
  bool is_free(const Row& row, const OperatorMatch& match) const {
    if (annotations_.is_annotated(match.node) || (match.tail != nullptr && annotations_.is_annotated(match.tail))) return false;
    const bool marks = row.kind == Kind::conv || row.kind == Kind::conv_transpose || (row.kind == Kind::linear && match.tail != nullptr);
    if (!torchao_ || !marks) return true;
    return std::none_of(match.operands.begin(), match.operands.end(),
                        [&](const auto& operand) { return operand.pattern->role != OperandRole::activation && is_marked(operand.value); });
  }

  bool is_marked(const Value* value) const {
    const QuantizationAnnotation* annotation = annotations_.find_producer(value);
    return annotation != nullptr && annotation->annotated;
  }

  bool passes_filter(const Row& row, const OperatorMatch& match) const {
    if (torchao_ && row.kind == Kind::cat) return true;  // torchao's cat rule never asks
    if (!filter_.accepts(*match.node) || (match.tail != nullptr && !filter_.accepts(*match.tail))) return false;
    const bool asks_weights =
        row.kind == Kind::conv || row.kind == Kind::conv_transpose || (row.kind == Kind::linear && match.tail != nullptr);
    if (!torchao_ || !asks_weights) return true;
    return std::all_of(match.operands.begin(), match.operands.end(), [&](const auto& operand) {
      if (operand.pattern->role == OperandRole::activation) return true;
      const Node* producer = operand.value->producer();
      return producer != nullptr ? filter_.accepts(*producer) : filter_.accepts_constants;
    });
  }

  // torchao leaves a convolution before a relu to the relu rows, also when those then refuse it.
  bool left_to_relu(const Row& row, const OperatorMatch& match) const {
    if (!torchao_ || !row.pattern.tail.empty()) return false;
    const Value* result = match.node->output();
    return result->has_one_user() && contains(relu, *result->users().front());
  }

  // There is no dynamic kernel for depthwise convolutions. torchao takes those with one input channel for such, and leaves
  // one-dimensional ones too.
  bool takes_dynamic_conv(const OperatorMatch& match) const {
    if (!is_dynamic(config_)) return true;
    const Value* weight = match.node->tensor("weight");
    if (weight->meta().rank() != 4 && (torchao_ || weight->meta().rank() != 3)) return false;
    const bool transposed = contains(conv_transpose_ops, *match.node);
    const auto channels = weight->sizes()[1].hint();
    const bool one_channel = !transposed && channels && *channels == 1;
    return !(one_channel && (torchao_ || match.node->integer("groups") > 1));
  }

  // XNNPACK packs weights ahead: they are float constants, and the activation is float.
  bool takes_weight(const OperatorMatch& match) {
    return has_float_output(*match.node) && is_floating(match.node->tensor("weight")->dtype()) &&
           constants_.is_constant(match.node->tensor("weight"));
  }

  bool takes_elementwise(const OperatorMatch& match) {
    // A number that is still a number at this point was left alone on purpose.
    if (!torchao_ && match.operands.size() != 2) return false;
    for (const auto& operand : match.operands) {
      if (operand.value->dtype() != DType::float32) return false;
      if (operand.value->producer() != nullptr || operand.value->meta().rank() > 8) continue;
      const Tensor* tensor = program_.constant(operand.value);
      if (tensor != nullptr && tensor->numel() == 1 && is_large_scalar(tensor->item_as_double())) return false;
    }
    return true;
  }

  // torchao finds pools by the module or (strict export) the function they come from, and takes the first of each module.
  bool is_module_pool(const Node& node) {
    const auto source = node.metadata.find("source_fn_stack");
    std::string place;
    if (source != node.metadata.end()) {
      const size_t last = source->second.rfind(';');
      place = last == std::string::npos ? source->second : source->second.substr(last + 1);
      if (place.find("AdaptiveAvgPool2d") == std::string::npos && place.find("adaptive_avg_pool2d") == std::string::npos) return false;
    } else {
      const std::vector<ModuleScope> stack = module_stack(node);
      if (stack.empty() || stack.back().type != "torch.nn.modules.pooling.AdaptiveAvgPool2d") return false;
      place = stack.back().path;
    }
    const auto [first, inserted] = pools_.try_emplace(place, &node);
    return inserted || first->second == &node;
  }

  void annotate(const Row& row, const OperatorMatch& match) {
    const std::string rule = "xnnpack." + std::string(row.pattern.name);
    if (row.kind == Kind::pool) return annotate_pool(*match.node, rule);
    if (row.kind == Kind::cat) return annotate_cat(*match.node, rule);
    annotate_match(match, config_, rule, annotations_);
    if (row.kind == Kind::elementwise || row.kind == Kind::clip) return;
    for (const auto& operand : match.operands) {
      if (operand.pattern->role == OperandRole::activation || operand.value->producer() != nullptr) continue;
      annotations_.of(operand.value).annotated = true;
    }
  }

  // Averages stay within the range of what they average: one observer for both sides.
  void annotate_pool(Node& node, const std::string& rule) {
    Value* input = node.tensor("self");
    const QuantizationAnnotation* producer = annotations_.find_producer(input);
    QuantizationAnnotation annotation;
    std::optional<AnyQuantizationSpec> spec;
    if (producer != nullptr && producer->annotated && producer->output_qspec) spec = SharedQuantizationSpec{input};
    else if (config_.input_activation) spec = *config_.input_activation;
    annotation.input_qspec_map.emplace_back(input, spec);
    annotation.output_qspec = SharedQuantizationSpec{QuantEdge{input, &node}};
    annotation.annotated = true;
    annotation.rule = rule;
    annotations_.of(&node) = std::move(annotation);
  }

  // All tensors of a concatenation share parameters, those of the first input that has some from its producer.
  void annotate_cat(Node& node, const std::string& rule) {
    const std::vector<Value*> inputs = node.tensors("tensors");
    if (inputs.empty() || !config_.input_activation) return;
    const auto found = std::find_if(inputs.begin(), inputs.end(), [&](const Value* value) { return has_source(value); });
    Value* owner = found != inputs.end() ? *found : inputs.front();
    const SharedQuantizationSpec shared = {QuantEdge{owner, &node}};
    QuantizationAnnotation annotation;
    annotation.input_qspec_map.emplace_back(owner, *config_.input_activation);
    for (Value* input : inputs) {
      const bool known = std::any_of(annotation.input_qspec_map.begin(), annotation.input_qspec_map.end(),
                                     [&](const auto& entry) { return entry.first == input; });
      if (!known) annotation.input_qspec_map.emplace_back(input, shared);
    }
    annotation.output_qspec = shared;
    annotation.annotated = true;
    annotation.rule = rule;
    annotations_.of(&node) = std::move(annotation);
  }

  // Does the tensor come, through operators that keep parameters, from a node whose output is quantized?
  bool has_source(const Value* value) const {
    while (value != nullptr) {
      const QuantizationAnnotation* annotation = annotations_.find_producer(value);
      if (annotation != nullptr && annotation->annotated && annotation->output_qspec) return true;
      const Node* producer = value->producer();
      if (producer == nullptr || !contains(sharing_ops, *producer)) return false;
      value = first_tensor(*producer);
    }
    return false;
  }

  const ExportedProgram& program_;
  const QuantizationConfig& config_;
  const NodeFilter& filter_;
  std::string_view op_;
  bool torchao_;
  Annotations& annotations_;
  ConstantValues constants_;
  std::map<std::string, const Node*> pools_;
};

}  // namespace

void annotate_patterns(const ExportedProgram& program, const QuantizationConfig& config, const NodeFilter& filter, std::string_view op,
                       Compat compat, Annotations& annotations) {
  Annotator(program, config, filter, op, compat, annotations).run();
}

void propagate_annotations(const ExportedProgram& program, const std::function<bool(const Node&)>& keeps_float, Annotations& annotations) {
  for (Node* node : program.graph().node_list()) {
    if (!contains(sharing_ops, *node) || annotations.is_annotated(node) || keeps_float(*node)) continue;
    Value* input = first_tensor(*node);
    const QuantizationAnnotation* producer = input == nullptr ? nullptr : annotations.find_producer(input);
    if (producer == nullptr || !producer->output_qspec) {
      annotations.refuse(node, "sharing: what it reads is quantized by the node that makes it");
      continue;
    }
    QuantizationAnnotation annotation;
    annotation.input_qspec_map.emplace_back(input, SharedQuantizationSpec{input});
    annotation.output_qspec = SharedQuantizationSpec{input};
    annotation.annotated = true;
    annotation.rule = "xnnpack.sharing";
    annotations.of(node) = std::move(annotation);
  }
}

void explain_the_rest(const ExportedProgram& program, Compat compat, Annotations& annotations) {
  const auto& table = compat == Compat::torchao ? std::span<const Row>(torchao_rows) : std::span<const Row>(rows);
  for (const Node* node : program.graph().node_list()) {
    if (annotations.is_annotated(node) || annotations.refusal(node) != nullptr) continue;
    const bool known = contains(sharing_ops, *node) ||
                       std::any_of(table.begin(), table.end(), [&](const Row& row) { return contains(row.pattern.ops, *node); });
    annotations.refuse(node, known ? "the configuration leaves it in float" : "XNNPACK's quantizer has no pattern for this op");
  }
}

bool is_operator(std::string_view name, const Node& node) {
  if (node.is(name)) return true;
  const auto family = [](std::string_view full) {
    const size_t space = full.find('.');
    const size_t overload = space == std::string_view::npos ? space : full.find('.', space + 1);
    std::string_view base = full.substr(0, overload);
    if (base.ends_with('_')) base.remove_suffix(1);
    return base;
  };
  return family(name) == family(node.op().name());
}

bool is_large_scalar(double value) { return std::fabs(value) > 3.4028235e15; }

}  // namespace intaglio::xnnpack
