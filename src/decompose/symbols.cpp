// Python's operators on sizes and numbers, in terms of those that the runtime has.
#include "decompose/rewrite.h"
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

// A node like `origin`, with a result of this kind.
Value* symbol(GraphBuilder& b, const Node& origin, std::string_view op, ValueKind kind, std::vector<Argument> operands) {
  std::vector<NamedArgument> arguments;
  for (Argument& operand : operands) arguments.push_back({"", std::move(operand), ArgKind::positional});
  OutputSpecification output;
  output.kind = kind;
  Node& node = b.graph().insert_before(const_cast<Node*>(&origin), Op::get(op), std::move(arguments), {output});
  node.metadata = inherited_metadata(origin);
  return node.output();
}
const Argument& operand_at(const Node& n, size_t position) {
  if (n.arguments().size() <= position) refuse(n, "an operand is missing");
  return n.arguments()[position].value;
}
// As the exporter describes the result that the new one replaces.
Values described(const Node& n, Value* result) {
  result->sym = n.output()->sym;
  return {result};
}

Values differs(GraphBuilder& b, const Node& n) {
  Value* same = symbol(b, n, "_operator.eq", ValueKind::sym_bool, {operand_at(n, 0), operand_at(n, 1)});
  return {symbol(b, n, "torch.sym_not", ValueKind::sym_bool, {same})};
}
void require_condition(const Node& n) {
  const Argument& first = operand_at(n, 0);
  Value* const* value = first.get_if<Value*>();
  const bool decides = first.is<bool>() || (value && (*value)->kind() == ValueKind::sym_bool);
  if (!decides || n.output()->kind() != ValueKind::sym_bool) refuse(n, "the runtime has no operator for the bits of a size");
}
Values both(GraphBuilder& b, const Node& n) {
  require_condition(n);
  return {symbol(b, n, "torch.sym_ite", n.output()->kind(), {operand_at(n, 0), operand_at(n, 1), false})};
}
Values either(GraphBuilder& b, const Node& n) {
  require_condition(n);
  return {symbol(b, n, "torch.sym_ite", n.output()->kind(), {operand_at(n, 0), true, operand_at(n, 1)})};
}
Values same(GraphBuilder&, const Node& n) {
  Value* const* value = operand_at(n, 0).get_if<Value*>();
  if (!value) refuse(n, "the operand is a number");
  return {*value};
}
// By a fixed number of places.
Values shifted(GraphBuilder& b, const Node& n) {
  const auto* places = operand_at(n, 1).get_if<int64_t>();
  if (!places || *places < 0 || *places > 62) refuse(n, "the number of places must be fixed");
  const std::string_view op = n.op().name() == "_operator.lshift" ? "_operator.mul" : "_operator.floordiv";
  return described(n, symbol(b, n, op, ValueKind::sym_int, {operand_at(n, 0), int64_t{1} << *places}));
}

// Through a tensor of one number.
Value* real_power(GraphBuilder& b, const Node& n, const Argument& base, double exponent) {
  Value* number = b.call("aten.scalar_tensor.default", {base}, {{"dtype", DType::float64}});
  Value* power = b("aten.pow.Tensor_Scalar", number, exponent);
  OutputSpecification output;
  output.kind = ValueKind::sym_float;
  Node& read = b.graph().insert_before(const_cast<Node*>(&n), Op::get("aten._local_scalar_dense.default"), {{"self", power}}, {output});
  read.metadata = inherited_metadata(n);
  return read.output();
}
Values power(GraphBuilder& b, const Node& n) {
  const Argument base = operand_at(n, 0), exponent = operand_at(n, 1);
  const auto* times = exponent.get_if<int64_t>();
  const auto* real = exponent.get_if<double>();
  if (!base.is<Value*>() || (!times && !real)) refuse(n, "the exponent must be fixed");
  constexpr int64_t most_products = 16;
  if (!times || *times < 1 || *times > most_products)
    return described(n, real_power(b, n, base, times ? static_cast<double>(*times) : *real));
  Value* product = *base.get_if<Value*>();
  for (int64_t i = 1; i < *times; ++i) product = symbol(b, n, "_operator.mul", n.output()->kind(), {product, base});
  return *times == 1 ? Values{product} : described(n, product);
}
Values square_root(GraphBuilder& b, const Node& n) { return described(n, real_power(b, n, operand_at(n, 0), 0.5)); }

const DecompositionRow symbol_rows[] = {
    {differs, {"_operator.ne"}},
    {both, {"_operator.and_"}},
    {either, {"_operator.or_"}},
    {same, {"_operator.pos"}},
    {shifted, {"_operator.lshift", "_operator.rshift"}},
    {power, {"_operator.pow"}},
    {square_root, {"torch.sym_sqrt", "torch._sym_sqrt"}},
};

}  // namespace

std::span<const DecompositionRow> symbol_decompositions() { return symbol_rows; }

}  // namespace intaglio::decompose
