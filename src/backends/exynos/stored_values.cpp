#include "backends/exynos/stored_values.h"

#include <algorithm>
#include <ranges>

#include "qdq/patterns.h"

namespace intaglio::exynos {
namespace {

bool is_qdq(const Node* node) {
  return node != nullptr && (qdq::is_tensor_or_channel_quantize(*node) || qdq::is_tensor_or_channel_dequantize(*node));
}
bool is_quantize(const Node* node) { return node != nullptr && qdq::is_tensor_or_channel_quantize(*node); }

// Operators that hand the parameters of what they read on to what they make, in ExecuTorch's passes.
constexpr std::string_view propagating[] = {"aten.view_copy.default",  "aten.permute_copy.default",   "aten.squeeze_copy.dims",
                                            "aten.slice_copy.Tensor",  "aten.unsqueeze_copy.default", "aten.cat.default",
                                            "aten.expand_copy.default"};
bool propagates(const Node& node) { return std::ranges::find(propagating, node.op().name()) != std::end(propagating); }

bool moves(const Node& node) {
  const OpRow* row = op_row(node);
  return row != nullptr && row->numbers == Numbers::moved;
}

bool is_layer(const Node& node) { return node.is("aten.convolution.default") || node.is("aten.linear.default"); }

}  // namespace

std::string_view activation_name(const Node& node) {
  if (node.is("aten.relu.default")) return "RELU";
  const auto bounds = node.is("aten.hardtanh.default") || node.is("aten.relu6.default") ? qdq::clamp_bounds(node) : std::nullopt;
  return bounds && bounds->min == 0 && bounds->max == 6 ? "RELU6" : "";
}

StoredValues::StoredValues(const ExportedProgram& program, Compat compat)
    : program_(program), is_original_(compat == Compat::torchao), constants_(program, is_pure, Creations::constant) {
  if (is_original_) annotate_as_original();
  else annotate();
  fuse_activations();
}

Reading StoredValues::reading_of(Value* value) const {
  Reading reading{.source = value};
  for (const Node* node = value->producer(); is_qdq(node); node = reading.source->producer()) {
    Value* input = node->tensor("input");
    const bool is_read = !is_quantize(node);
    // A dequantize node says the same as the quantize node behind it.
    if (is_read || reading.source == value) {
      if (reading.integers == nullptr) reading.integers = is_read ? input : reading.source;
      reading.steps.insert(reading.steps.begin(), *qdq::params_of(program_, *node));
    }
    reading.source = input;
  }
  return reading;
}

const QuantParams* StoredValues::params_of(const Value* value) const {
  const auto found = params_.find(value);
  return found == params_.end() ? nullptr : &found->second;
}

const Node* StoredValues::fused_activation(const Node& layer) const {
  const auto found = activations_.find(&layer);
  return found == activations_.end() ? nullptr : found->second;
}

bool is_activation(const StoredValues& stored, const Value* operand) {
  return is_floating(operand->dtype()) && !stored.is_constant(operand);
}

// ------------------------------------------------------------------------------------------------------- as ExecuTorch does

void StoredValues::propagate_original(Value* value, const QuantParams& params) {
  while (value->users().size() == 1 && is_qdq(value->users().front())) value = value->users().front()->output();
  for (Node* user : value->users()) {
    if (!propagates(*user)) continue;
    Value* moved = user->output();
    if (moved->users().size() == 1 && is_qdq(moved->users().front())) continue;
    params_[moved] = params;
    propagate_original(moved, params);
  }
}

void StoredValues::set_original(Value* source, const Node& quantize) {
  const QuantParams params = *qdq::params_of(program_, quantize);
  params_[source] = params;
  // The last dequantize nodes of the chains behind it, depth first.
  std::vector<std::pair<Node*, size_t>> last;
  const auto visit = [&](const auto& self, Node* node) -> void {
    if (!is_qdq(node)) return;
    for (Node* user : node->output()->users())
      if (is_qdq(user)) self(self, user);
      else if (Node* before = node->tensor("input")->producer(); is_quantize(before))
        if (const auto other = qdq::params_of(program_, *before); other && !(*other == params)) params_[source] = *other;
  };
  for (Node* user : source->users()) visit(visit, user);
  // Nodes have parameters, and not their results one by one.
  if (const Node* maker = source->producer())
    for (const Value* other : maker->outputs())
      if (other != source) params_[other] = QuantParams(params_.at(source));
  propagate_original(source, QuantParams(params_[source]));
}

void StoredValues::annotate_as_original() {
  for (Node* node : program_.graph().node_list()) {
    if (!is_qdq(node)) continue;
    Value* source = node->tensor("input");
    if (is_qdq(source->producer())) continue;
    if (is_quantize(node)) set_original(source, *node);
    else params_[source] = *qdq::params_of(program_, *node);
  }
  // A product of matrices takes the parameters of the view that gives it its dimensions back, a convolution of one dimension those of the
  // squeeze.
  for (Node* node : program_.graph().node_list()) {
    const bool is_product = node->is("aten.bmm.default"), is_layer = node->is("aten.convolution.default");
    if (!(is_product || is_layer) || params_.contains(node->output()) || !node->output()->has_one_user()) continue;
    const Node* reader = node->output()->users().front();
    const bool is_view = is_product ? reader->is("aten.view_copy.default") : reader->is("aten.squeeze_copy.dims");
    const auto known = is_view ? params_.find(reader->output()) : params_.end();
    if (known != params_.end()) params_[node->output()] = QuantParams(known->second);
  }
}

// --------------------------------------------------------------------------------------------------------------- as is right

// Operands are read in int8.
bool StoredValues::may_be_int8(const Node& node) const {
  if (op_row(node)->numbers == Numbers::floats) return false;
  return std::ranges::all_of(node.inputs(), [&](Value* operand) {
    return !is_activation(*this, operand) || !reading_of(operand).steps.empty() || params_.contains(operand) || follows(node, *operand);
  });
}

// What is only moved, or only goes through the activation of its layer, before it is quantized can be made in int8 too.
bool StoredValues::follows(const Node& reader, const Value& operand) const {
  const Node* maker = operand.producer();
  if (maker == nullptr || is_qdq(maker) || !operand.has_one_user()) return false;
  const bool is_of_layer = !activation_name(reader).empty() && is_layer(*maker);
  return (is_of_layer || moves(reader)) && may_be_int8(*maker);
}

// A value that is read through quantize nodes alone is made in int8.
void StoredValues::annotate_result(Node& node) {
  for (Value* value : node.outputs()) {
    if (value->users().empty() || !std::ranges::all_of(value->users(), is_quantize)) continue;
    if (may_be_int8(node)) params_[value] = *qdq::params_of(program_, *value->users().front());
  }
}

// What moves values leaves them in int8.
void StoredValues::annotate_what_is_moved(Node& node) {
  const auto params_read = [&](Value* operand) -> std::optional<QuantParams> {
    Reading reading = reading_of(operand);
    if (!reading.steps.empty()) return reading.steps.back();
    const QuantParams* made = params_of(operand);
    return made == nullptr ? std::nullopt : std::optional(*made);
  };
  std::optional<QuantParams> shared;
  for (Value* operand : node.inputs()) {
    const std::optional<QuantParams> params = params_read(operand);
    if (!params || !params->is_per_tensor() || (shared && !(*shared == *params))) return;
    shared = params;
  }
  for (Value* value : node.outputs())
    if (shared && is_floating(value->dtype()) && !params_.contains(value)) params_[value] = *shared;
}

void StoredValues::annotate() {
  const std::vector<Node*> nodes = program_.graph().node_list();
  const auto is_op = [&](const Node* node) { return !is_qdq(node) && !node->outputs().empty() && !is_constant(node->output()); };
  for (Node* node : nodes) {
    if (!is_op(node)) continue;
    annotate_result(*node);
    if (moves(*node)) annotate_what_is_moved(*node);
  }
  for (Node* node : nodes | std::views::reverse) {
    if (!is_op(node) || !params_.contains(node->output())) continue;
    for (const Value* operand : node->inputs())
      if (!params_.contains(operand) && !is_constant(operand) && follows(*node, *operand))
        params_[operand] = QuantParams(params_.at(node->output()));
  }
}

// The node of a convolution has a parameter for its activation. That of a linear layer has none: there the range of its result says it.
void StoredValues::fuse_activations() {
  for (Node* layer : program_.graph().node_list()) {
    if (!is_layer(*layer) || !layer->output()->has_one_user()) continue;
    Node* reader = layer->output()->users().front();
    const std::string_view name = activation_name(*reader);
    if (name.empty()) continue;
    const auto params = params_.find(reader->output());
    const bool is_quantized = params != params_.end();
    if (is_original_) {
      if (params_.contains(layer->output())) continue;
      activations_[layer] = reader;
      if (is_quantized) fused_.insert(reader);
      continue;
    }
    if (layer->is("aten.linear.default")) {
      if (!is_quantized || params->second.zero_point[0] != params->second.quant_min) continue;
      if (name == "RELU6" && params->second.scale[0] * 255 > 6 * (1 + 1e-5)) continue;
    }
    // The layer's own node would clamp what is quantized otherwise.
    const auto own = params_.find(layer->output());
    if (own != params_.end() && !(is_quantized && own->second == params->second)) continue;
    activations_[layer] = reader;
    fused_.insert(reader);
  }
}

}  // namespace intaglio::exynos
