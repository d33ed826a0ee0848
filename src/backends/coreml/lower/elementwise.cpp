#include <algorithm>
#include <limits>

#include "backends/coreml/lower/constants.h"
#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml::rows {
namespace {

// The operands of an operator of two: tensors, or a number in the place of one.
struct Pair {
  NamedType x, y;
};

NamedType operand_or_number(Lowering& l, const Node& node, size_t place, DataType type) {
  const std::string& name = node.op().schema()->arguments[place].name;
  const Argument argument = node.argument(name);
  if (const auto* value = argument.get_if<Value*>()) return l.cast(l.operand(*value), type);
  return l.builder().constant(node.name() + "_" + name, l.number(node.number(name), type));
}

Pair pair_of(Lowering& l, const Node& node, DataType type) {
  return {operand_or_number(l, node, 0, type), operand_or_number(l, node, 1, type)};
}

// What numbers of both are compared as.
DataType compared_type(Lowering& l, const Node& node) {
  DataType type = DataType::int32;
  for (const Value* value : node.inputs())
    if (is_floating(value->dtype())) type = l.element_type(value->dtype());
  // A number with a fraction beside integers.
  const Argument number = node.argument(node.op().schema()->arguments[1].name);
  return type == DataType::int32 && number.is<double>() ? l.float_type() : type;
}

bool is_integer(const Node& node) { return !is_floating(node.output()->dtype()); }

}  // namespace

void unary(Lowering& l, const Node& node, std::string_view mil) {
  const ValueType type = l.type_of(node.output());
  l.finish(node, mil, {{"x", l.cast(l.first_operand(node), type.type)}});
}

void binary(Lowering& l, const Node& node, std::string_view mil) {
  const ValueType type = l.type_of(node.output());
  Pair pair = pair_of(l, node, type.type);
  if (node.op().schema()->find("alpha") && node.number("alpha") != 1)
    pair.y = l.op("mul", {{"x", pair.y}, {"y", l.number(node.number("alpha"), type.type)}}, pair.y.type);
  l.finish(node, mil, {{"x", pair.x}, {"y", pair.y}});
}

void comparison(Lowering& l, const Node& node, std::string_view mil) {
  const Pair pair = pair_of(l, node, compared_type(l, node));
  l.finish(node, mil, {{"x", pair.x}, {"y", pair.y}});
}

void logical(Lowering& l, const Node& node, std::string_view mil) {
  const Pair pair = pair_of(l, node, DataType::boolean);
  l.finish(node, mil, {{"x", pair.x}, {"y", pair.y}});
}

void logical_not(Lowering& l, const Node& node, std::string_view mil) {
  l.finish(node, mil, {{"x", l.cast(l.first_operand(node), DataType::boolean)}});
}

void negate(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  l.finish(node, mil, {{"x", x}, {"y", l.number(-1, x.type.type)}});
}

void reciprocal(Lowering& l, const Node& node, std::string_view mil) {
  const ValueType type = l.type_of(node.output());
  l.finish(node, mil, {{"x", l.number(1, type.type)}, {"y", l.cast(l.first_operand(node), type.type)}});
}

void rounded_quotient(Lowering& l, const Node& node, std::string_view mil) {
  const Pair pair = pair_of(l, node, l.type_of(node.output()).type);
  l.finish(node, mil, {{"x", pair.x}, {"y", pair.y}});
}

// The operation takes floats alone.
void clamp(Lowering& l, const Node& node, std::string_view mil) {
  const bool is_hardtanh = node.is("aten.hardtanh.default");
  const auto low = node.optional_number(is_hardtanh ? "min_val" : "min"), high = node.optional_number(is_hardtanh ? "max_val" : "max");
  const ValueType type = l.type_of(node.output());
  NamedType x = l.cast(l.first_operand(node), type.type);
  if (!is_integer(node)) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return l.finish(
        node, mil,
        {{"x", x}, {"alpha", l.number(low.value_or(-infinity), type.type)}, {"beta", l.number(high.value_or(infinity), type.type)}});
  }
  if (low) x = l.op("maximum", {{"x", x}, {"y", l.number(*low, type.type)}}, type);
  if (high) x = l.op("minimum", {{"x", x}, {"y", l.number(*high, type.type)}}, type);
  l.set(node.output(), x);
}

// Activations with one number, behind the operand.
void with_parameter(Lowering& l, const Node& node, std::string_view mil) {
  const Literal alpha = l.parameter(node.number(node.op().schema()->arguments[1].name));
  const NamedType x = l.first_operand(node);
  if (!node.is("aten.elu.default") || node.number("scale") == 1) return l.finish(node, mil, {{"x", x}, {"alpha", alpha}});
  const NamedType y = l.op(mil, {{"x", x}, {"alpha", alpha}}, x.type);
  l.finish(node, "mul", {{"x", y}, {"y", l.number(node.number("scale"), x.type.type)}});
}

// A slope for each channel; one serves all of them.
void channel_slopes(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  const Tensor slopes = converted(*l.facts().program().constant(node.tensor("weight")), DType::float64).contiguous();
  const std::span<const double> given = slopes.span<double>();
  std::vector<double> each(given.begin(), given.end());
  each.resize(static_cast<size_t>(x.type.dims[1]), each.front());
  l.finish(node, mil,
           {{"x", x}, {"alpha", constant_literal(Tensor::of<double>(std::span<const double>(each), {std::ssize(each)}), x.type.type)}});
}

// The terms that ExecuTorch's converter gives them.
void with_epsilon(Lowering& l, const Node& node, std::string_view mil) {
  constexpr double least_float32 = 1.4e-45;
  const Literal epsilon = l.parameter(mil == "log" ? least_float32 : 1e-12);
  l.finish(node, mil, {{"x", l.cast(l.first_operand(node), l.type_of(node.output()).type)}, {"epsilon", epsilon}});
}

void gelu(Lowering& l, const Node& node, std::string_view mil) {
  const bool is_exact = node.string("approximate") == "none";
  l.finish(node, mil, {{"x", l.first_operand(node)}, {"mode", text_literal(is_exact ? "EXACT" : "TANH_APPROXIMATION")}});
}

namespace {
Lowering::Parameters hard_gate(Lowering& l, const NamedType& x) {
  return {{"x", x}, {"alpha", l.parameter(1.0 / 6)}, {"beta", l.parameter(0.5)}};
}
}  // namespace

void hard_sigmoid(Lowering& l, const Node& node, std::string_view mil) { l.finish(node, mil, hard_gate(l, l.first_operand(node))); }

void hard_swish(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  const NamedType above = l.op("thresholded_relu", {{"x", x}, {"alpha", l.parameter(-3)}}, x.type);
  l.finish(node, "mul", {{"x", above}, {"y", l.op(mil, hard_gate(l, above), x.type)}});
}

void mish(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  const NamedType gate = l.op("tanh", {{"x", l.op(mil, {{"x", x}}, x.type)}}, x.type);
  l.finish(node, "mul", {{"x", x}, {"y", gate}});
}

void cast(Lowering& l, const Node& node, std::string_view) {
  l.set(node.output(), l.cast(l.first_operand(node), l.type_of(node.output()).type));
}

// What is chosen from makes the result's sizes; repeated where the condition is larger.
void choice(Lowering& l, const Node& node, std::string_view mil) {
  const ValueType type = l.type_of(node.output());
  NamedType a = l.cast(l.operand(node, "self"), type.type), b = l.cast(l.operand(node, "other"), type.type);
  const auto has = [&](const NamedType& value, size_t i) {
    const size_t rank = value.type.dims.size();
    return i + rank >= type.dims.size() && value.type.dims[i + rank - type.dims.size()] == type.dims[i];
  };
  std::vector<int64_t> reps(type.dims.size(), 1);
  for (size_t i = 0; i < reps.size(); ++i)
    if (!has(a, i) && !has(b, i)) reps[i] = type.dims[i];
  if (std::ranges::any_of(reps, [](int64_t n) { return n != 1; })) {
    b = l.of_rank(b, reps.size());
    ValueType repeated = b.type;
    for (size_t i = 0; i < reps.size(); ++i) repeated.dims[i] *= reps[i];
    b = l.op("tile", {{"x", b}, {"reps", int32_literal(reps)}}, repeated);
  }
  l.finish(node, mil, {{"cond", l.operand(node, "condition")}, {"a", a}, {"b", b}});
}

}  // namespace intaglio::coreml::rows
