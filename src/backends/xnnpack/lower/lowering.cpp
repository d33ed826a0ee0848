#include "backends/xnnpack/lower/lowering.h"

#include <algorithm>

#include <fmt/format.h>

namespace intaglio::xnnpack {
namespace {

PerTensor per_tensor(const QuantParams& params) {
  return {static_cast<float>(params.scale[0]), static_cast<int32_t>(params.zero_point[0])};
}

ImageLayout declared_layout(const Value* value) {
  const std::vector<uint8_t> order = value->meta().dim_order();
  return std::ranges::is_sorted(order) ? ImageLayout::nchw : ImageLayout::nhwc;
}

}  // namespace

Lowering::Lowering(const ExportedProgram& program, const Features& features)
    : program_(program),
      features_(features),
      facts_(program),
      refused_(find_rule_refusals(facts_, features)),
      chains_(find_int8_chains(facts_, features, refused_)) {}

PayloadGraph Lowering::run() && {
  define_inputs();
  for (Node* node : program_.graph().node_list()) {
    ++debug_handle_;
    node_ = node;
    if (chains_.absorbed.contains(node) || chains_.dynamic_parts.contains(node) || qdq::is_tensor_or_channel_dequantize(*node)) continue;
    // Constants are folded where they are used.
    if (!node->outputs().empty() && facts_.is_constant(node->output())) continue;
    chain_ = chains_.find(*node);
    dynamic_ = chains_.find_dynamic(*node);
    if (qdq::is_tensor_or_channel_quantize(*node)) lower_quantize(*node);
    else lower(*node);
  }
  define_outputs();
  return std::move(graph_);
}

void Lowering::lower(const Node& node) {
  const OpRule* rule = find_rule(node);
  if (!rule) throw_bug(fmt::format("{} reached the XNNPACK backend without a rule", describe(node)));
  if (const auto refusal = refused_.find(&node); refusal != refused_.end())
    throw_bug(fmt::format("{} reached the XNNPACK backend although it is refused: {}", describe(node), refusal->second));
  rule->lower(*this, node, rule->kind);
}

void Lowering::lower_quantize(const Node& node) {
  const QuantParams* params = facts_.params_of(node);
  if (!params || !is_int8_activation(*params))
    throw_bug(fmt::format("{} reached the XNNPACK backend with parameters it does not take", describe(node)));
  const ValueId source = float_operand(node.tensor("input"));
  const ValueId output = new_value(node.output(), DataType::qint8, per_tensor(*params));
  ids_[node.output()] = output;
  emit_to(output, NodeKind::Convert, {source});
}

void Lowering::define_inputs() {
  for (const Value* input : program_.user_inputs()) {
    Quantization quantization;
    DataType type = type_of(input);
    if (type == DataType::qint8) {
      const auto reader = std::ranges::find_if(input->users(), [](const Node* n) { return qdq::is_tensor_or_channel_dequantize(*n); });
      if (reader == input->users().end())
        throw_bug(fmt::format("int8 input '{}' of an XNNPACK delegate has no dequantize node", input->name()));
      quantization = per_tensor(*facts_.params_of(**reader));
    }
    const ValueId id = new_value(input, type, std::move(quantization));
    PayloadValue& value = graph_.values[id];
    value.role = PayloadValue::Role::input;
    value.layout = declared_layout(input);
    value.external_id = static_cast<uint32_t>(graph_.inputs.size());
    graph_.inputs.push_back(id);
    ids_[input] = id;
  }
}

// Outputs keep the value that computes them; one that already leaves, or is an input, leaves as a copy.
void Lowering::define_outputs() {
  node_ = &program_.graph().output_node();
  for (const Argument& argument : program_.user_outputs()) {
    const auto* output = argument.get_if<Value*>();
    if (!output || !*output) throw_bug("an output of an XNNPACK delegate is not a tensor");
    const bool is_int8 = (*output)->dtype() == DType::int8;
    ValueId id = is_int8 ? known(*output) : float_operand(*output);
    if (graph_.values[id].role != PayloadValue::Role::internal) {
      const ValueId copy = new_value(*output, graph_.values[id].type, graph_.values[id].quantization);
      emit_to(copy, NodeKind::Copy, {id});
      id = copy;
    }
    PayloadValue& value = graph_.values[id];
    value.role = PayloadValue::Role::output;
    value.layout = declared_layout(*output);
    value.external_id = static_cast<uint32_t>(graph_.inputs.size() + graph_.outputs.size());
    graph_.outputs.push_back(id);
  }
}

ValueId Lowering::operand(std::string_view argument) { return operand(node_->tensor(argument)); }
ValueId Lowering::operand(Value* value) {
  if (dynamic_ && value == dynamic_->dequantize->output()) return float_operand(dynamic_->source);
  return chain_ ? int8_operand(value) : float_operand(value);
}

ValueId Lowering::int8_operand(Value* value) {
  const auto source = qdq::dequantized(program_, value);
  if (!source) throw_bug(fmt::format("operand '{}' of {} is not int8", value->name(), describe(*node_)));
  if (const auto found = ids_.find(source->source); found != ids_.end()) return found->second;
  const std::optional<Tensor> data = facts_.constant_value(source->source);
  if (!data) throw_bug(fmt::format("operand '{}' of {} is not known", value->name(), describe(*node_)));
  return ids_[source->source] = constant(*data, source->source->name(), DataType::qint8, per_tensor(source->params));
}

ValueId Lowering::float_operand(Value* value) {
  if (const auto found = ids_.find(value); found != ids_.end()) return found->second;
  if (const std::optional<Tensor> data = facts_.constant_value(value)) return ids_[value] = constant(*data, value->name(), type_of(value));
  const Node* node = qdq::dequantize_of(value);
  if (!node) throw_bug(fmt::format("operand '{}' of {} is not known", value->name(), describe(*node_)));
  const ValueId source = known(node->tensor("input"));
  if (const auto found = floats_.find(source); found != floats_.end()) return found->second;
  const ValueId output = new_value(value, type_of(value), {});
  emit_to(output, NodeKind::Convert, {source});
  return floats_[source] = output;
}

ValueId Lowering::dynamic_int8(ValueId floats, int32_t nonbatch_dims, bool shared) {
  const std::pair key = {floats, nonbatch_dims};
  if (const auto found = dynamic_values_.find(key); shared && found != dynamic_values_.end()) return found->second;
  const ValueId id = intermediate(floats, graph_.values[floats].dims);
  graph_.values[id].type = DataType::qdint8;
  graph_.values[id].quantization = PerToken{nonbatch_dims};
  emit_to(id, NodeKind::Convert, {floats});
  if (shared) dynamic_values_[key] = id;
  return id;
}

ValueId Lowering::known(const Value* value) const {
  const auto found = ids_.find(value);
  if (found == ids_.end()) throw_bug(fmt::format("value '{}' is used in an XNNPACK delegate before it is made", value->name()));
  return found->second;
}

ValueId Lowering::result() {
  const Value* value = chain_ ? chain_->quantizes.front()->output() : node_->output();
  if (const auto found = ids_.find(value); found != ids_.end()) return found->second;
  const ValueId id = chain_ ? new_value(value, DataType::qint8, per_tensor(chain_->output)) : new_value(value, type_of(value), {});
  alias(id);
  return id;
}

void Lowering::alias(ValueId id) {
  if (!chain_) ids_[node_->output()] = id;
  else
    for (const Node* quantize : chain_->quantizes) ids_[quantize->output()] = id;
}

ValueId Lowering::constant(Tensor data, std::string name, DataType type, Quantization quantization, Sizes dims) {
  PayloadValue value;
  value.name = std::move(name);
  value.type = type;
  value.dims = dims.empty() ? data.sizes() : std::move(dims);
  value.quantization = std::move(quantization);
  value.role = PayloadValue::Role::constant;
  value.data = data.contiguous();
  return graph_.add_value(std::move(value));
}

ValueId Lowering::intermediate(ValueId like, std::vector<int64_t> dims) {
  const PayloadValue& model = graph_.values[like];
  PayloadValue value;
  value.name = model.name;
  value.type = model.type;
  value.quantization = model.quantization;
  value.dynamic = model.dynamic;
  value.dims = std::move(dims);
  return graph_.add_value(std::move(value));
}

ValueId Lowering::new_value(const Value* source, DataType type, Quantization quantization) {
  PayloadValue value;
  value.name = source->name();
  value.type = type;
  value.dims = dims_of(source);
  value.dynamic = !source->meta().is_static();
  value.quantization = std::move(quantization);
  return graph_.add_value(std::move(value));
}

void Lowering::emit(NodeKind kind, std::vector<ValueId> inputs, Attributes attributes, uint32_t node_flags) {
  apply_activation(emit_to(result(), kind, std::move(inputs), std::move(attributes), node_flags));
}

void Lowering::apply_activation(PayloadNode& node) const {
  if (!chain_ || !chain_->activation) return;
  const std::optional<qdq::Bounds> bounds = qdq::clamp_bounds(*chain_->activation);
  node.output_min = bounds->min;
  node.output_max = bounds->max;
}

PayloadNode& Lowering::emit_to(ValueId output, NodeKind kind, std::vector<ValueId> inputs, Attributes attributes, uint32_t node_flags) {
  PayloadNode node;
  node.kind = kind;
  node.inputs = std::move(inputs);
  node.output = output;
  node.attributes = std::move(attributes);
  node.flags = node_flags;
  node.debug_handle = debug_handle_;
  node.origin = node_ == &program_.graph().output_node() ? "output" : describe(*node_);
  return graph_.add_node(std::move(node));
}

ValueId Lowering::compute(NodeKind kind, std::vector<ValueId> inputs, Attributes attributes, std::optional<std::vector<int64_t>> dims,
                          uint32_t node_flags) {
  const ValueId output = intermediate(inputs[0], dims ? *std::move(dims) : graph_.values[inputs[0]].dims);
  emit_to(output, kind, std::move(inputs), std::move(attributes), node_flags);
  return output;
}

ValueId Lowering::reshaped(ValueId input, const std::vector<int64_t>& dims, std::optional<size_t> inferred) {
  if (graph_.values[input].dims == dims) return input;
  DimsAttributes attributes{{dims.begin(), dims.end()}};
  if (inferred) attributes.dims[*inferred] = 0;
  return compute(NodeKind::StaticReshape, {input}, std::move(attributes), dims);
}

ValueId Lowering::transposed(ValueId input, std::vector<uint32_t> order) {
  const std::vector<int64_t> dims = graph_.values[input].dims;
  std::vector<int64_t> moved;
  for (const uint32_t dim : order) moved.push_back(dims[dim]);
  return compute(NodeKind::StaticTranspose, {input}, DimsAttributes{std::move(order)}, std::move(moved));
}

ValueId Lowering::cast(ValueId input, DataType type) {
  if (graph_.values[input].type == type) return input;
  const ValueId output = intermediate(input, graph_.values[input].dims);
  graph_.values[output].type = type;
  emit_to(output, NodeKind::Convert, {input});
  return output;
}

ValueId Lowering::number(float value, ValueId like) { return float_constant(Tensor::of<float>({value}, {1}), "number", like); }

ValueId Lowering::float_constant(Tensor data, std::string name, ValueId like) {
  const DataType type = graph_.values[like].type;
  return constant(converted(data, type == DataType::fp16 ? DType::float16 : DType::float32), std::move(name), type);
}

DimsAttributes reshape_attributes(const Value& value) {
  DimsAttributes attributes;
  for (const SymInt& size : value.sizes()) attributes.dims.push_back(size.is_static() ? static_cast<uint32_t>(size.value()) : 0);
  if (attributes.dims.empty()) attributes.dims = {1};
  return attributes;
}

std::vector<int64_t> Lowering::dims_of(const Value* value) const {
  std::vector<int64_t> dims;
  for (const SymInt& size : value->sizes()) {
    const std::optional<int64_t> bound = common::upper_bound(program_, size);
    if (!bound) throw_bug(fmt::format("value '{}' in an XNNPACK delegate has a size without bound", value->name()));
    dims.push_back(*bound);
  }
  return dims;
}

DataType Lowering::type_of(const Value* value) const {
  switch (value->dtype()) {
    case DType::float32: return DataType::fp32;
    case DType::float16: return DataType::fp16;
    case DType::int8: return DataType::qint8;
    default: throw_bug(fmt::format("value '{}' in an XNNPACK delegate is {}", value->name(), name(value->dtype())));
  }
}

}  // namespace intaglio::xnnpack
