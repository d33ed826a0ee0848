#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

// other * alpha, left out when alpha is 1.
Argument scaled(GraphBuilder& b, const Node& n, const Argument& other) {
  const Argument alpha = n.argument("alpha");
  if (const auto* one = alpha.get_if<int64_t>(); one && *one == 1) return other;
  if (Value* const* tensor = other.get_if<Value*>()) return b("aten.mul.Tensor", *tensor, alpha);
  const auto *factor = alpha.get_if<int64_t>(), *whole = other.get_if<int64_t>();
  if (factor && whole) return static_cast<int64_t>(static_cast<uint64_t>(*factor) * static_cast<uint64_t>(*whole));  // wraps, as PyTorch's
  return n.number("alpha") * n.number("other");
}
Values add_scalar(GraphBuilder& b, const Node& n) { return {b("aten.add.Tensor", self(n), scaled(b, n, n.argument("other")))}; }
Values sub(GraphBuilder& b, const Node& n) { return {b("aten.sub.Tensor", self(n), scaled(b, n, n.argument("other")))}; }
Values reversed_sub(GraphBuilder& b, const Node& n) { return {b("aten.sub.Tensor", n.argument("other"), scaled(b, n, self(n)))}; }
Values mul_scalar(GraphBuilder& b, const Node& n) { return {b("aten.mul.Tensor", self(n), n.argument("other"))}; }
Values div_scalar(GraphBuilder& b, const Node& n) { return {b("aten.div.Tensor", self(n), n.argument("other"))}; }
Values div_mode(GraphBuilder& b, const Node& n) {
  if (n.argument("rounding_mode").is_none()) return {b("aten.div.Tensor", self(n), n.argument("other"))};
  if (n.is("aten.div.Tensor_mode")) return {};
  return {b.call("aten.div.Tensor_mode", {self(n), n.argument("other")}, {{"rounding_mode", n.string("rounding_mode")}})};
}
Values floor_divide(GraphBuilder& b, const Node& n) {
  return {b.call("aten.div.Tensor_mode", {self(n), n.argument("other")}, {{"rounding_mode", "floor"}})};
}

// A number in front of a tensor.
Values number_first(GraphBuilder& b, const Node& n) {
  const std::string tensors = fmt::format("aten.{}.Tensor", n.op().base());
  Value* number = operand(b, n, "self");
  return {b(tensors, number, operand(b, n, "other"))};
}

// The runtime's kernel gives integers the sign of the dividend, Python that of the divisor.
Values remainder(GraphBuilder& b, const Node& n) {
  if (is_floating(n.output()->dtype())) return {};
  Value* quotient = b.call("aten.div.Tensor_mode", {self(n), n.argument("other")}, {{"rounding_mode", "floor"}});
  return {b("aten.sub.Tensor", self(n), b("aten.mul.Tensor", quotient, n.argument("other")))};
}

// Powers that a faster kernel computes.
Values power(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  if (!is_floating(x->dtype())) return {};
  const double exponent = n.number("exponent");
  if (exponent == 1) return {x};
  if (exponent == 2) return {b("aten.mul.Tensor", x, x)};
  if (exponent == 3) return {b("aten.mul.Tensor", b("aten.mul.Tensor", x, x), x)};
  if (exponent == 0.5) return {b("aten.sqrt.default", x)};
  if (exponent == -0.5) return {b("aten.rsqrt.default", x)};
  if (exponent == -1) return {b("aten.reciprocal.default", x)};
  return {};
}
Values square(GraphBuilder& b, const Node& n) { return {b("aten.mul.Tensor", self(n), self(n))}; }
Values exp2(GraphBuilder& b, const Node& n) { return {b("aten.pow.Scalar", 2.0, b.cast(self(n), n.output()->dtype()))}; }
Values erfc(GraphBuilder& b, const Node& n) { return {b("aten.sub.Tensor", 1.0, b("aten.erf.default", self(n)))}; }
// Rounded at a power of ten; a negative number of decimals rounds in front of the point.
Values round_decimals(GraphBuilder& b, const Node& n) {
  if (!is_floating(n.output()->dtype())) return {self(n)};
  const int64_t decimals = n.integer("decimals");
  if (decimals == 0) return {b("aten.round.default", self(n))};
  const double power = std::pow(10.0, static_cast<double>(std::abs(decimals)));
  const auto [before, after] =
      decimals > 0 ? std::pair("aten.mul.Tensor", "aten.div.Tensor") : std::pair("aten.div.Tensor", "aten.mul.Tensor");
  return {b(after, b("aten.round.default", b(before, self(n), power)), power)};
}
Values positive(GraphBuilder&, const Node& n) { return {self(n)}; }
Values negative(GraphBuilder& b, const Node& n) { return {b("aten.neg.default", self(n))}; }
Values fraction(GraphBuilder& b, const Node& n) { return {b("aten.sub.Tensor", self(n), b("aten.trunc.default", self(n)))}; }

// ---- bounds
Values clamp(GraphBuilder& b, const Node& n) {
  const OpSchema& schema = *n.op().schema();
  const Argument low = schema.find("min") ? n.argument("min") : Argument();
  const Argument high = schema.find("max") ? n.argument("max") : Argument();
  Value* x = b.cast(self(n), n.output()->dtype());
  if (n.is("aten.clamp.default") && x == self(n)) return {};
  return {b("aten.clamp.default", x, low, high)};
}
Values clamp_tensor(GraphBuilder& b, const Node& n) {
  const OpSchema& schema = *n.op().schema();
  Value* x = self(n);
  if (Value* low = schema.find("min") ? n.optional_tensor("min") : nullptr) x = b("aten.maximum.default", x, low);
  if (Value* high = schema.find("max") ? n.optional_tensor("max") : nullptr) x = b("aten.minimum.default", x, high);
  return {x};
}

// ---- choices
Values where(GraphBuilder& b, const Node& n) {
  Value* condition = b.cast(n.tensor("condition"), DType::boolean);
  Value *yes = operand(b, n, "self"), *no = operand(b, n, "other");
  if (n.is("aten.where.self") && condition == n.tensor("condition") && yes == self(n) && no == n.tensor("other"))
    return written_safe_softmax(b, n);
  return {b("aten.where.self", condition, yes, no)};
}
Values masked_fill(GraphBuilder& b, const Node& n) { return {b("aten.where.self", n.tensor("mask"), operand(b, n, "value"), self(n))}; }

Values is_finite(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  if (!is_floating(x->dtype())) return {b.full(x->sizes(), true, DType::boolean, x)};
  Value* bounded = b("aten.ne.Scalar", b("aten.abs.default", x), std::numeric_limits<double>::infinity());
  return {b("aten.logical_and.default", bounded, b("aten.eq.Tensor", x, x))};
}

Values nan_to_num(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  if (!is_floating(x->dtype())) return {x};
  if (x->dtype() != DType::float32) refuse(n, "only float32 is supported");
  const double infinity = std::numeric_limits<double>::infinity(), largest = std::numeric_limits<float>::max();
  const auto replaced = [&](Value* where, double value, Value* otherwise) {
    return b("aten.where.self", where, b.number(value, x->dtype()), otherwise);
  };
  Value* result = replaced(b("aten.isnan.default", x), n.optional_number("nan").value_or(0), x);
  result = replaced(b("aten.eq.Scalar", x, infinity), n.optional_number("posinf").value_or(largest), result);
  return {replaced(b("aten.eq.Scalar", x, -infinity), n.optional_number("neginf").value_or(-largest), result)};
}

// ---- three operands
Value* times(GraphBuilder& b, Value* x, const Argument& factor) {
  if (const auto* one = factor.get_if<int64_t>(); one && *one == 1) return x;
  if (const auto* one = factor.get_if<double>(); one && *one == 1) return x;
  return b("aten.mul.Tensor", x, factor);
}
Values addcmul(GraphBuilder& b, const Node& n) {
  Value* product = b("aten.mul.Tensor", n.tensor("tensor1"), n.tensor("tensor2"));
  return {b("aten.add.Tensor", self(n), times(b, product, n.argument("value")))};
}
Values addcdiv(GraphBuilder& b, const Node& n) {
  Value* quotient = b("aten.div.Tensor", n.tensor("tensor1"), n.tensor("tensor2"));
  return {b("aten.add.Tensor", self(n), times(b, quotient, n.argument("value")))};
}
Values lerp(GraphBuilder& b, const Node& n) {
  Value* way = b("aten.mul.Tensor", b("aten.sub.Tensor", n.tensor("end"), self(n)), n.argument("weight"));
  return {b("aten.add.Tensor", self(n), way)};
}

const DecompositionRow arithmetic_rows[] = {
    {add_scalar, {"aten.add.Scalar"}},
    {sub, {"aten.sub.Scalar"}},
    {reversed_sub, {"aten.rsub.Scalar", "aten.rsub.Tensor"}},
    {mul_scalar, {"aten.mul.Scalar"}},
    {div_scalar, {"aten.div.Scalar"}},
    {div_mode, {"aten.div.Tensor_mode", "aten.div.Scalar_mode"}},
    {floor_divide, {"aten.floor_divide.default", "aten.floor_divide.Scalar"}},
    {number_first,
     {"aten.remainder.Scalar_Tensor", "aten.bitwise_and.Scalar_Tensor", "aten.bitwise_or.Scalar_Tensor", "aten.bitwise_xor.Scalar_Tensor",
      "aten.bitwise_left_shift.Scalar_Tensor", "aten.bitwise_right_shift.Scalar_Tensor"}},
    {remainder, {"aten.remainder.Scalar", "aten.remainder.Tensor"}},
    {power, {"aten.pow.Tensor_Scalar"}},
    {square, {"aten.square.default"}},
    {exp2, {"aten.exp2.default"}},
    {erfc, {"aten.erfc.default"}},
    {round_decimals, {"aten.round.decimals"}},
    {positive,
     {"aten.positive.default", "aten.real.default", "aten.lift.default", "aten.resolve_conj.default", "aten.resolve_neg.default"}},
    // _neg_view: of the imaginary part of a conjugate
    {negative, {"aten._neg_view.default"}},
    {fraction, {"aten.frac.default"}},
    {clamp, {"aten.clamp.default", "aten.clamp_min.default", "aten.clamp_max.default", "aten.clip.default"}},
    {clamp_tensor, {"aten.clamp.Tensor", "aten.clamp_min.Tensor", "aten.clamp_max.Tensor"}},
    {where, {"aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther", "aten.where.Scalar"}},
    {masked_fill, {"aten.masked_fill.Scalar", "aten.masked_fill.Tensor"}},
    {is_finite, {"aten.isfinite.default"}},
    {nan_to_num, {"aten.nan_to_num.default"}},
    {addcmul, {"aten.addcmul.default"}},
    {addcdiv, {"aten.addcdiv.default"}},
    {lerp, {"aten.lerp.Scalar", "aten.lerp.Tensor"}},
};

}  // namespace

std::span<const DecompositionRow> arithmetic_decompositions() { return arithmetic_rows; }

}  // namespace intaglio::decompose
