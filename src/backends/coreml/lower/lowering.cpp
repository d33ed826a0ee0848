#include "backends/coreml/lower/lowering.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ranges>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/coreml/lower/constants.h"
#include "backends/coreml/op_table.h"
#include "ir/match.h"
#include "ir/mutations.h"

namespace intaglio::coreml {
namespace {

bool is_float(DataType type) { return type == DataType::float16 || type == DataType::float32; }

// Of the dimensions of an input some of whose sizes are symbols.
std::vector<SizeRange> ranges_of(const Value& value, const SymRanges& known) {
  std::vector<SizeRange> ranges;
  for (const SymInt& size : value.sizes()) {
    if (size.is_static()) {
      ranges.push_back({size.value(), size.value()});
      continue;
    }
    const SymRange range = bounds(*size.expression(), known);
    const bool is_bounded = range.max && *range.max < INT32_MAX;
    ranges.push_back({std::max<int64_t>(1, range.min.value_or(1)), is_bounded ? range.max : std::nullopt});
  }
  return ranges;
}

// Float numbers made of integers and constants alone that a sine or cosine reads: rotary embeddings' angles, positions times
// frequencies, where float16 has errors of whole radians. What tokens look up in an embedding is none.
std::unordered_set<const Value*> angles_of(const ExportedProgram& program) {
  std::unordered_set<const Value*> counted, angles;
  const LastingConstants constants(program);
  const auto is_counted = [&](const Value* value) {
    return !value->is_tensor() || !is_floating(value->dtype()) || constants.find(value) || counted.contains(value);
  };
  const std::vector<Node*> nodes = program.graph().node_list();
  for (const Node* node : nodes)
    if (node->op().base() != "embedding" && std::ranges::all_of(node->inputs(), is_counted))
      counted.insert(node->outputs().begin(), node->outputs().end());
  for (const Node* node : nodes | std::views::reverse) {
    const bool reads_angles = node->op().base() == "sin" || node->op().base() == "cos" ||
                              std::ranges::any_of(node->outputs(), [&](const Value* output) { return angles.contains(output); });
    if (!reads_angles) continue;
    for (const Value* input : node->inputs())
      if (counted.contains(input) && input->is_tensor() && input->dtype() == DType::float32) angles.insert(input);
  }
  return angles;
}

// Squares and their sums up to the root that is taken of them: of numbers beyond 256 they overflow float16, though neither the
// numbers nor their norm does.
class SumsOfSquares {
 public:
  explicit SumsOfSquares(const ExportedProgram& program) {
    for (const Node* node : program.graph().node_list()) {
      const std::string_view base = node->op().base();
      if (base == "rsqrt" || base == "sqrt") take(node->tensor("self"));
    }
  }

  std::unordered_set<const Value*> found;

 private:
  // Does it come from squares through what sums and scales them?
  bool take(const Value* value) {
    static const std::unordered_set<std::string_view> between = {"mean", "sum", "add", "mul", "div", "clamp", "view", "expand"};
    const Node* producer = value->producer();
    if (!producer || value->dtype() != DType::float32) return false;
    if (const auto known = seen_.find(value); known != seen_.end()) return known->second;
    bool is_sum = square_root_of(value) != nullptr;
    if (!is_sum && between.contains(producer->op().base()))
      for (const Value* input : producer->inputs()) is_sum = (input->is_tensor() && take(input)) || is_sum;
    if (is_sum) found.insert(value);
    return seen_[value] = is_sum;
  }

  std::unordered_map<const Value*, bool> seen_;
};

// The model has no scalars: they go in and out in one dimension, as the runtime passes them.
ValueType without_scalars(ValueType type) {
  if (type.dims.empty()) type.dims = {1};
  return type;
}

}  // namespace

Sizes dims_of(const Value* value) {
  Sizes dims;
  for (const SymInt& size : value->sizes()) dims.push_back(size.is_static() ? size.value() : unknown_size);
  return dims;
}

int64_t dim_of(const Node& node, std::string_view argument, int64_t rank) {
  const int64_t dim = node.integer(argument);
  return dim < 0 ? dim + rank : dim;
}

Lowering::Lowering(const ExportedProgram& program, std::string_view name, const LoweringOptions& options)
    : program_(program), facts_(program), options_(options), builder_(options.version, std::string(name)), float_type_(default_float()) {
  if (!options.in_float16) return;
  in_float32_ = angles_of(program);
  in_float32_.merge(SumsOfSquares(program).found);
}

Function Lowering::run() && {
  add_inputs();
  for (const Node* node : program_.graph().node_list()) lower(*node);
  node_ = nullptr;
  float_type_ = default_float();
  write_states();
  return builder_.finish(outputs());
}

// ---- values

DataType Lowering::element_type(DType dtype) const {
  switch (dtype) {
    case DType::float32: return float_type_;
    case DType::float16: return float_type_ == default_float() ? DataType::float16 : float_type_;
    case DType::int64: return DataType::int32;
    default: return data_type(dtype).value();
  }
}

ValueType Lowering::type_of(const Value* value) const { return {element_type(value->dtype()), dims_of(value)}; }

NamedType Lowering::cast(const NamedType& value, DataType type) {
  if (value.type.type == type) return value;
  const std::string_view name = row_of(type).name;
  return builder_.op("cast", fmt::format("{}_to_{}", value.name, name), {{"x", value}, {"dtype", text_literal(std::string(name))}},
                     ValueType{type, value.type.dims});
}

NamedType Lowering::of_rank(const NamedType& value, size_t rank) {
  if (value.type.dims.size() >= rank) return value;
  std::vector<int64_t> axes(rank - value.type.dims.size());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  ValueType type = value.type;
  type.dims.insert(type.dims.begin(), axes.size(), 1);
  return op("expand_dims", {{"x", value}, {"axes", int32_literal(axes)}}, type);
}

NamedType Lowering::constant(const Value* value) {
  const Tensor* tensor = program_.constant(value);
  if (!tensor) throw_bug(fmt::format("'{}' is not in the ML program", value->name()));
  const DataType type = element_type(value->dtype());
  const auto found = constants_.find({value, type});
  if (found != constants_.end()) return found->second;
  return constants_.emplace(std::pair(value, type), builder_.constant(value->name(), constant_literal(*tensor, type))).first->second;
}

NamedType Lowering::operand(const Value* value) {
  const auto found = values_.find(value);
  if (found == values_.end()) return constant(value);
  const DataType type = element_type(value->dtype());
  return is_float(type) ? cast(found->second, type) : found->second;
}

Literal Lowering::number(double value, DataType type) const {
  return constant_literal(Tensor::scalar(is_float(type) ? value : std::trunc(value)), type);
}

Literal Lowering::parameter(double value) const { return number(value, version() >= Version::ios17 ? DataType::float32 : float_type_); }

NamedType Lowering::op(std::string_view mil, Parameters parameters, ValueType type) {
  return builder_.op(mil, fmt::format("{}_{}", node_->name(), mil), std::move(parameters), std::move(type));
}

void Lowering::finish(const Node& node, std::string_view mil, Parameters parameters) {
  set(node.output(), builder_.op(mil, node.output()->name(), std::move(parameters), type_of(node.output())));
}

void Lowering::finish(const Node& node, std::string_view mil, Parameters parameters, ValueType type) {
  set(node.output(),
      cast(builder_.op(mil, node.output()->name(), std::move(parameters), std::move(type)), element_type(node.output()->dtype())));
}

void Lowering::set(const Value* value, NamedType is) {
  if (value->dtype() == DType::float32) is = cast(is, in_float32_.contains(value) ? DataType::float32 : default_float());
  if (value->dtype() == DType::float16) is = cast(is, DataType::float16);
  values_.insert_or_assign(value, std::move(is));
}

// ---- the function

void Lowering::add_inputs() {
  for (const Value* input : program_.graph().inputs())
    if (program_.spec_of(input)->kind == InputSpec::Kind::user_input) add_input(*input);
  const std::unordered_set<const Value*> mutated = mutated_inputs(program_);
  for (const Value* input : program_.graph().inputs()) {
    if (!mutated.contains(input)) continue;
    const ValueType type = type_of(input);
    NamedType state = builder_.input(input->name(), {type.type, type.dims, true});
    values_[input] = builder_.op("read_state", fmt::format("read_{}", input->name()), {{"input", state}}, type);
    states_.emplace(program_.spec_of(input)->target, std::move(state));
  }
}

void Lowering::add_input(const Value& value) {
  const ValueType inside = type_of(&value);
  const bool is_float32 = value.dtype() == DType::float32;
  const bool is_symbolic = std::ranges::find(inside.dims, unknown_size) != inside.dims.end();
  NamedType input = builder_.input(value.name(), without_scalars({is_float32 ? DataType::float32 : inside.type, inside.dims}),
                                   is_symbolic ? ranges_of(value, program_.range_constraints) : std::vector<SizeRange>());
  inputs_.insert(input.name);
  if (is_float32) input = cast(input, inside.type);
  if (inside.dims.empty())
    input = builder_.op("squeeze", fmt::format("{}_number", value.name()), {{"x", input}, {"axes", int32_literal({0})}}, inside);
  values_[&value] = std::move(input);
}

bool Lowering::needs_float32(const Node& node) const {
  const auto stays = [&](const Value* value) { return in_float32_.contains(value); };
  if (std::ranges::any_of(node.inputs(), stays) || std::ranges::any_of(node.outputs(), stays)) return true;
  if (!options_.in_float16 || !node.op().schema()) return false;
  // Scalars, and tensors of the model.
  for (const ArgSchema& argument : node.op().schema()->arguments) {
    const bool is_number = argument.type == ArgType::scalar || argument.type == ArgType::floating;
    const auto number = is_number && node.find(argument.name) ? node.optional_number(argument.name) : std::nullopt;
    if (number && is_beyond_float16(*number)) return true;
  }
  return std::ranges::any_of(node.inputs(), [&](const Value* value) {
    const Tensor* tensor = value->is_tensor() && !values_.contains(value) ? program_.constant(value) : nullptr;
    return tensor && is_beyond_float16(*tensor);
  });
}

void Lowering::lower(const Node& node) {
  const OpRow* row = find_row(node.op().name());
  if (!row) throw_bug(fmt::format("{} is in a Core ML delegate", describe(node)));
  node_ = &node;
  float_type_ = needs_float32(node) ? DataType::float32 : default_float();
  row->lower(*this, node, row->mil);
}

std::vector<NamedType> Lowering::outputs() {
  std::vector<NamedType> results;
  std::unordered_set<const Value*> taken;
  std::unordered_set<std::string> names(inputs_.begin(), inputs_.end());
  for (const Argument& argument : program_.user_outputs())
    for (const Value* value : values_in(argument)) {
      if (!taken.insert(value).second) continue;
      results.push_back(output(*value, names));
      names.insert(results.back().name);
    }
  return results;
}

// Under a name of its own, in a type that models give.
NamedType Lowering::output(const Value& value, const std::unordered_set<std::string>& taken) {
  NamedType result = operand(&value);
  const std::string inside = result.name;
  if (result.type.dims.empty())
    result = builder_.op("expand_dims", fmt::format("{}_tensor", inside), {{"x", result}, {"axes", int32_literal({0})}},
                         without_scalars(result.type));
  if (version() < Version::ios16 && is_float(result.type.type)) result = cast(result, DataType::float32);
  if (value.producer() && !taken.contains(result.name)) return result;
  return builder_.op("identity", fmt::format("{}_result", inside), {{"x", result}}, result.type);
}

void Lowering::write_states() {
  const std::vector<Argument> values = program_.graph().outputs();
  for (size_t i = 0; i < values.size(); ++i) {
    const OutputSpec& spec = program_.output_specs[i];
    if (spec.kind != OutputSpec::Kind::buffer_mutation) continue;
    const NamedType& state = states_.at(spec.target);
    builder_.op("write_state", fmt::format("write_{}", state.name), {{"input", state}, {"data", operand(std::get<Value*>(values[i]))}},
                std::vector<ValueType>());
  }
}

Function lower_to_function(const ExportedProgram& partition, std::string_view name, const LoweringOptions& options) {
  return Lowering(partition, name, options).run();
}

}  // namespace intaglio::coreml
