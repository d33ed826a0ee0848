// Functions of numbers that the runtime has no kernels for, written with those it has.
#include <cmath>
#include <limits>

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

constexpr double positive_infinity = std::numeric_limits<double>::infinity();

Value* is_nan(GraphBuilder& b, Value* x) { return b("aten.ne.Tensor", x, x); }
Value* choose(GraphBuilder& b, Value* condition, Value* yes, Value* no) { return b("aten.where.self", condition, yes, no); }
Value* choose(GraphBuilder& b, Value* condition, double yes, Value* no) { return choose(b, condition, b.number(yes, no->dtype()), no); }

Values degrees_to_radians(GraphBuilder& b, const Node& n) { return {b("aten.mul.Tensor", operand(b, n, "self"), M_PI / 180)}; }
Values radians_to_degrees(GraphBuilder& b, const Node& n) { return {b("aten.mul.Tensor", operand(b, n, "self"), 180 / M_PI)}; }

// ---- signs: a negative zero shows in its reciprocal
Value* is_negative(GraphBuilder& b, Value* x) {
  Value* below = b("aten.lt.Scalar", x, 0);
  if (!is_floating(x->dtype())) return below;
  Value* zero = b("aten.eq.Scalar", x, 0);
  return b("aten.logical_or.default", below, b("aten.logical_and.default", zero, b("aten.lt.Scalar", b("aten.reciprocal.default", x), 0)));
}
Values sign_bit(GraphBuilder& b, const Node& n) { return {is_negative(b, self(n))}; }
Values copy_sign(GraphBuilder& b, const Node& n) {
  Value* size = b("aten.abs.default", operand(b, n, "self"));
  Value* negative = is_negative(b, operand(b, n, "other"));
  return {choose(b, negative, b("aten.neg.default", size), size)};
}

template <bool positive>
Values is_signed_infinity(GraphBuilder& b, const Node& n) {
  if (!is_floating(self(n)->dtype())) return {b.full(self(n)->sizes(), false, DType::boolean, self(n))};
  return {b("aten.eq.Scalar", self(n), positive ? positive_infinity : -positive_infinity)};
}

// sin(pi x) / (pi x), 1 at 0
Values sinc(GraphBuilder& b, const Node& n) {
  Value* angle = b("aten.mul.Tensor", operand(b, n, "self"), M_PI);
  Value* zero = b("aten.eq.Scalar", angle, 0);
  return {choose(b, zero, 1.0, b("aten.div.Tensor", b("aten.sin.default", angle), angle))};
}

// ---- two operands
// A number beats NaN.
Values larger(GraphBuilder& b, const Node& n) {
  Value *x = operand(b, n, "self"), *y = operand(b, n, "other");
  Value* result = b(n.op().base() == "fmax" ? "aten.maximum.default" : "aten.minimum.default", x, y);
  if (!is_floating(result->dtype())) return {result};
  Value* chosen = choose(b, is_nan(b, y), x, result);
  return {choose(b, is_nan(b, x), y, chosen)};
}
Values float_power(GraphBuilder& b, const Node& n) {
  Value* base = operand(b, n, "self");
  return {b("aten.pow.Tensor_Tensor", base, operand(b, n, "exponent"))};
}
Values load_exponent(GraphBuilder& b, const Node& n) {
  Value* factor = b("aten.pow.Scalar", 2.0, operand(b, n, "other"));
  return {b("aten.mul.Tensor", operand(b, n, "self"), factor)};
}
Values heaviside(GraphBuilder& b, const Node& n) {
  Value* step = b.cast(b("aten.gt.Scalar", self(n), 0), n.output()->dtype());
  Value* zero = b("aten.eq.Scalar", self(n), 0);
  return {choose(b, zero, operand(b, n, "values"), step)};
}
Values is_close(GraphBuilder& b, const Node& n) {
  if (!is_floating(self(n)->dtype())) refuse(n, "only floating point is compared with a tolerance");
  Value *x = self(n), *y = n.tensor("other");
  Value* distance = b("aten.abs.default", b("aten.sub.Tensor", x, y));
  Value* allowed = b("aten.add.Tensor", b("aten.mul.Tensor", b("aten.abs.default", y), n.number("rtol")), n.number("atol"));
  Value* finite = b("aten.lt.Scalar", distance, positive_infinity);
  Value* close = b("aten.logical_and.default", finite, b("aten.le.Tensor", distance, allowed));
  close = b("aten.logical_or.default", close, b("aten.eq.Tensor", x, y));
  if (!n.boolean("equal_nan")) return {close};
  Value* nan = is_nan(b, x);
  return {b("aten.logical_or.default", close, b("aten.logical_and.default", nan, is_nan(b, y)))};
}
Values x_log_of_operands(GraphBuilder& b, const Node& n, std::string_view logarithm) {
  Value* x = operand(b, n, "self");
  return {x_log(b, logarithm, x, operand(b, n, "other"))};
}
Values x_log_y(GraphBuilder& b, const Node& n) { return x_log_of_operands(b, n, "aten.log.default"); }
Values x_log_1_plus_y(GraphBuilder& b, const Node& n) { return x_log_of_operands(b, n, "aten.log1p.default"); }
// -x log x, minus infinity for what is no probability
Values entropy(GraphBuilder& b, const Node& n) {
  Value* x = operand(b, n, "self");
  Value* result = b("aten.neg.default", x_log(b, "aten.log.default", x, x));
  return {choose(b, b("aten.lt.Scalar", x, 0), -positive_infinity, result)};
}
Values normal_distribution(GraphBuilder& b, const Node& n) {
  Value* bend = b("aten.erf.default", b("aten.mul.Tensor", operand(b, n, "self"), M_SQRT1_2));
  return {b("aten.mul.Tensor", b("aten.add.Tensor", bend, 1), 0.5)};
}
// log2(2^x + 2^y) = max(x, y) + log2(1 + 2^-|x - y|)
Values log_add_exp_2(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *y = n.tensor("other");
  Value* distance = b("aten.neg.default", b("aten.abs.default", b("aten.sub.Tensor", x, y)));
  Value* rest = b("aten.log1p.default", b("aten.pow.Scalar", 2.0, distance));
  Value* larger = b("aten.maximum.default", x, y);
  return {b("aten.add.Tensor", larger, b("aten.mul.Tensor", rest, 1 / M_LN2))};
}

// ---- places among sorted boundaries: as many as lie before
Value* place(GraphBuilder& b, const Node& n, Value* x, Value* boundaries, bool right) {
  Value* before = b(right ? "aten.ge.Tensor" : "aten.gt.Tensor", b.unsqueeze(x, -1), boundaries);
  return b.cast(b("aten.sum.dim_IntList", b.cast(before, DType::int64), Ints{-1}), n.output()->dtype());
}
Values bucketize(GraphBuilder& b, const Node& n) { return {place(b, n, self(n), n.tensor("boundaries"), n.boolean("right"))}; }
Values search_sorted(GraphBuilder& b, const Node& n) {
  if (n.optional_tensor("sorter")) refuse(n, "there is no kernel for a search with a sorter; sort before");
  Value* sequence = n.tensor("sorted_sequence");
  if (sequence->meta().rank() > 1) sequence = b.unsqueeze(sequence, -2);
  const bool right = n.boolean("right") || (!n.argument("side").is_none() && n.string("side") == "right");
  return {place(b, n, self(n), sequence, right)};
}
Values is_in(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("elements"), *among = n.tensor("test_elements");
  among = b.view(among, {size_quotient(among->sizes(), {})});
  Value* found = b("aten.any.dim", b("aten.eq.Tensor", b.unsqueeze(x, -1), among), -1);
  return {n.boolean("invert") ? b("aten.logical_not.default", found) : found};
}

Values randomized_leaky_relu(GraphBuilder& b, const Node& n) {
  if (n.boolean("training")) refuse(n, "rrelu in training mode: export the model in evaluation mode");
  return {b("aten.leaky_relu.default", self(n), (n.number("lower") + n.number("upper")) / 2)};
}

const DecompositionRow function_rows[] = {
    {degrees_to_radians, {"aten.deg2rad.default"}},
    {radians_to_degrees, {"aten.rad2deg.default"}},
    {sign_bit, {"aten.signbit.default"}},
    {copy_sign, {"aten.copysign.Tensor", "aten.copysign.Scalar"}},
    {is_signed_infinity<true>, {"aten.isposinf.default"}},
    {is_signed_infinity<false>, {"aten.isneginf.default"}},
    {sinc, {"aten.sinc.default"}},
    {larger, {"aten.fmax.default", "aten.fmin.default"}},
    {float_power, {"aten.float_power.Tensor_Tensor", "aten.float_power.Tensor_Scalar", "aten.float_power.Scalar"}},
    {load_exponent, {"aten.ldexp.Tensor"}},
    {heaviside, {"aten.heaviside.default"}},
    {is_close, {"aten.isclose.default"}},
    {x_log_y, {"aten.xlogy.Tensor", "aten.xlogy.Scalar_Other", "aten.xlogy.Scalar_Self"}},
    {x_log_1_plus_y, {"aten.special_xlog1py.default", "aten.special_xlog1py.other_scalar", "aten.special_xlog1py.self_scalar"}},
    {entropy, {"aten.special_entr.default"}},
    {normal_distribution, {"aten.special_ndtr.default"}},
    {log_add_exp_2, {"aten.logaddexp2.default"}},
    {bucketize, {"aten.bucketize.Tensor"}},
    {search_sorted, {"aten.searchsorted.Tensor"}},
    {is_in, {"aten.isin.Tensor_Tensor"}},
    {randomized_leaky_relu, {"aten.rrelu.default"}},
};

}  // namespace

Value* x_log(GraphBuilder& b, std::string_view logarithm, Value* x, Value* y) {
  Value* product = b("aten.mul.Tensor", x, b(logarithm, y));
  Value* zero = b("aten.eq.Scalar", x, 0);
  Value* zero_of_number = b("aten.logical_and.default", zero, b("aten.eq.Tensor", y, y));
  return choose(b, zero_of_number, 0.0, product);
}

std::span<const DecompositionRow> function_decompositions() { return function_rows; }

}  // namespace intaglio::decompose
