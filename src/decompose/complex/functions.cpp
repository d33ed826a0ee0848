// Functions of complex numbers by functions of their real and imaginary parts.
#include <cmath>
#include <complex>
#include <numbers>

#include "decompose/complex/parts.h"

namespace intaglio::decompose::complex_parts {
namespace {

using Function = Parts (*)(PartsBuilder&, const Parts&);

template <Function function>
Results of_self(PartsBuilder& b) {
  return {function(b, b.operand("self"))};
}

// Both parts, and what is written of them again and again.
struct Split {
  PartsBuilder& b;
  Value *re, *im;

  Split(PartsBuilder& builder, const Parts& z) : b(builder), re(builder.real_or_zeros(z)), im(builder.imag_or_zeros(z)) {}

  Value* of(std::string_view op, Value* x) const { return b.build("aten." + std::string(op) + ".default", x); }
  Value* product_of(std::string_view f, Value* x, std::string_view g, Value* y) const {
    Value* left = of(f, x);
    return b.product(left, of(g, y));
  }
};

Value* plus(PartsBuilder& b, Value* x, double number) { return b.build("aten.add.Tensor", x, number); }
Value* by(PartsBuilder& b, Value* x, double factor) { return x ? b.build("aten.mul.Tensor", x, factor) : nullptr; }
Parts by(PartsBuilder& b, const Parts& z, double factor) {
  return b.each(z, [&](Value* x) { return by(b, x, factor); });
}
Parts sum(PartsBuilder& b, const Parts& x, const Parts& y) {
  Value *xr = b.real(x), *yr = b.real(y);
  Value* real = b.sum(xr, yr);
  Value *xi = b.imag(x), *yi = b.imag(y);
  return Parts{real, b.sum(xi, yi)};
}
Parts plus(PartsBuilder& b, const Parts& z, double number) { return Parts{plus(b, b.real_or_zeros(z), number), b.imag(z)}; }
Parts negated(PartsBuilder& b, const Parts& z) {
  return b.each(z, [&](Value* x) { return b.negative(x); });
}
// Turned by a quarter, i z, and back, -i z.
Parts turned(PartsBuilder& b, const Parts& z) {
  Value* real = b.negative(b.imag(z));
  return Parts{real, b.real(z)};
}
Parts turned_back(PartsBuilder& b, const Parts& z) {
  Value* real = b.imag(z);
  return Parts{real, b.negative(b.real(z))};
}

Parts polar(PartsBuilder& b, Value* size, Value* angle) {
  Value* real = b.product(size, b.build("aten.cos.default", angle));
  return Parts{real, b.product(size, b.build("aten.sin.default", angle))};
}

// ---- exponentials and logarithms
Parts exponential(PartsBuilder& b, const Parts& z) {
  Value *real = b.real(z), *imag = b.imag(z);
  Value* size = real ? b.build("aten.exp.default", real) : nullptr;
  if (!imag) return Parts{size, nullptr};
  Value *cosine = b.build("aten.cos.default", imag), *sine = b.build("aten.sin.default", imag);
  return size ? Parts{b.product(size, cosine), b.product(size, sine)} : Parts{cosine, sine};
}
Parts power_of_two(PartsBuilder& b, const Parts& z) { return exponential(b, by(b, z, std::numbers::ln2)); }
// e^a cos b - 1 = (e^a - 1) cos b - 2 sin^2(b / 2): nothing cancels near 0.
Parts exponential_less_one(PartsBuilder& b, const Parts& z) {
  const Split s(b, z);
  Value* sine = s.of("sin", by(b, s.im, 0.5));
  Value* first = s.product_of("expm1", s.re, "cos", s.im);
  Value* real = b.difference(first, by(b, b.product(sine, sine), 2));
  return Parts{real, s.product_of("exp", s.re, "sin", s.im)};
}

Parts logarithm(PartsBuilder& b, const Parts& z) {
  Value* real = b.build("aten.log.default", size_of(b, z));
  return Parts{real, angle_of(b, z)};
}
Parts logarithm_of_two(PartsBuilder& b, const Parts& z) { return by(b, logarithm(b, z), std::numbers::log2e); }
Parts logarithm_of_ten(PartsBuilder& b, const Parts& z) { return by(b, logarithm(b, z), std::numbers::log10e); }
// log(1 + z), whose size is the root of 1 + (a (a + 2) + b^2).
Parts logarithm_beside_one(PartsBuilder& b, const Parts& z) {
  const Split s(b, z);
  Value* of_real = b.product(s.re, plus(b, s.re, 2));
  Value* beyond = b.sum(of_real, b.product(s.im, s.im));
  Value* real = by(b, s.of("log1p", beyond), 0.5);
  return Parts{real, b.build("aten.atan2.default", s.im, plus(b, s.re, 1))};
}

Parts square(PartsBuilder& b, const Parts& z) { return times(b, z, z); }
template <bool inverted>
Parts square_root(PartsBuilder& b, const Parts& z) {
  Value* size = b.build(inverted ? "aten.rsqrt.default" : "aten.sqrt.default", size_of(b, z));
  return polar(b, size, by(b, angle_of(b, z), inverted ? -0.5 : 0.5));
}

// ---- of angles, and hyperbolic ones, which are those of angles a quarter turned
Parts hyperbolic_sine(PartsBuilder& b, const Parts& z) {
  const Split s(b, z);
  Value* real = s.product_of("sinh", s.re, "cos", s.im);
  return Parts{real, s.product_of("cosh", s.re, "sin", s.im)};
}
Parts hyperbolic_cosine(PartsBuilder& b, const Parts& z) {
  const Split s(b, z);
  Value* real = s.product_of("cosh", s.re, "cos", s.im);
  return Parts{real, s.product_of("sinh", s.re, "sin", s.im)};
}
// With t = tanh a: (t + i (1 - t^2) sin b cos b) / (cos^2 b + t^2 sin^2 b), in which nothing overflows.
Parts hyperbolic_tangent(PartsBuilder& b, const Parts& z) {
  const Split s(b, z);
  Value *t = s.of("tanh", s.re), *sine = s.of("sin", s.im), *cosine = s.of("cos", s.im);
  Value *ts = b.product(t, sine), *squares = plus(b, b.negative(b.product(t, t)), 1);
  Value* cosine_squared = b.product(cosine, cosine);
  Value* divisor = b.sum(cosine_squared, b.product(ts, ts));
  Value* real = b.build("aten.div.Tensor", t, divisor);
  return Parts{real, b.build("aten.div.Tensor", b.product(squares, b.product(sine, cosine)), divisor)};
}
// The larger of the two signs of z: sums with a root of a positive real part do not cancel.
Parts hyperbolic_sine_inverse(PartsBuilder& b, const Parts& z) {
  const Split s(b, z);
  Value* one = b.build.number(1.0, s.re->dtype());
  Value *negative = b.build("aten.lt.Scalar", s.re, 0), *minus_one = b.build.number(-1.0, s.re->dtype());
  Value* sign = b.build("aten.where.self", negative, minus_one, one);
  const auto signed_as_z = [&](const Parts& w) { return b.each(w, [&](Value* x) { return b.product(x, sign); }); };
  const Parts right = signed_as_z(Parts{s.re, s.im});
  return signed_as_z(logarithm(b, sum(b, right, square_root<false>(b, plus(b, square(b, right), 1)))));
}
Parts hyperbolic_cosine_inverse(PartsBuilder& b, const Parts& z) {
  const Parts root = square_root<false>(b, plus(b, z, 1));
  return logarithm(b, sum(b, z, times(b, root, square_root<false>(b, plus(b, z, -1)))));
}
Parts hyperbolic_tangent_inverse(PartsBuilder& b, const Parts& z) {
  const Parts left = logarithm_beside_one(b, z), right = logarithm_beside_one(b, negated(b, z));
  return by(b, sum(b, left, negated(b, right)), 0.5);
}
template <Function hyperbolic>
Parts of_angle(PartsBuilder& b, const Parts& z) {
  return turned_back(b, hyperbolic(b, turned(b, z)));
}
Parts cosine(PartsBuilder& b, const Parts& z) { return hyperbolic_cosine(b, turned(b, z)); }
Parts cosine_inverse(PartsBuilder& b, const Parts& z) {
  return plus(b, negated(b, of_angle<hyperbolic_sine_inverse>(b, z)), std::numbers::pi / 2);
}

// 1 / (1 + e^-z) = (1 + tanh(z / 2)) / 2
Parts sigmoid(PartsBuilder& b, const Parts& z) { return by(b, plus(b, hyperbolic_tangent(b, by(b, z, 0.5)), 1), 0.5); }
Parts silu(PartsBuilder& b, const Parts& z) { return times(b, z, sigmoid(b, z)); }
Parts cardinal_sine(PartsBuilder& b, const Parts& z) {
  const Parts angle = by(b, z, std::numbers::pi);
  Value* size = size_of(b, angle);
  Value* is_zero = b.build("aten.eq.Scalar", size, 0);
  Value *zero = b.build.number(0.0, size->dtype()), *one = b.build.number(1.0, size->dtype());
  const Parts divisor = Parts{b.build("aten.where.self", is_zero, one, b.real_or_zeros(angle)), b.imag(angle)};
  const Parts value = times(b, of_angle<hyperbolic_sine>(b, angle), inverse(b, divisor));
  Value* real = b.build("aten.where.self", is_zero, one, b.real_or_zeros(value));
  return Parts{real, b.build("aten.where.self", is_zero, zero, b.imag_or_zeros(value))};
}

// ---- powers
// A tensor's parts in the result's type, or those of a number.
Parts parts_of(PartsBuilder& b, const Argument& written) {
  const auto part = [&](Part which) -> Value* {
    const auto given = b.part(written, which);
    if (!given) return nullptr;
    Value* const* value = given->get_if<Value*>();
    return value ? *value : b.build.number(*given, b.real_type());
  };
  Value* real = part(Part::real);
  return Parts{real, part(Part::imag)};
}
// z^(c + id), with z = r e^(it): r^c e^(-dt) at the angle c t + d log r. 0 has no logarithm and needs none.
Parts any_power(PartsBuilder& b, const Parts& z, const Parts& exponent) {
  Value *size = size_of(b, z), *angle = angle_of(b, z);
  Value *c = b.real(exponent), *d = b.imag(exponent);
  Value *result_size = c ? b.build("aten.pow.Tensor_Tensor", size, c) : nullptr, *result_angle = b.product(c, angle);
  if (d) {
    Value* is_zero = b.build("aten.eq.Scalar", size, 0);
    Value* logarithm = b.build("aten.log.default", b.build("aten.where.self", is_zero, b.build.number(1.0, size->dtype()), size));
    result_angle = b.sum(result_angle, b.product(d, logarithm));
    Value* factor = b.build("aten.exp.default", b.negative(b.product(d, angle)));
    result_size = result_size ? b.product(result_size, factor) : factor;
  }
  return polar(b, result_size, result_angle);
}
// Small whole powers are products.
Results power(PartsBuilder& b) {
  const Argument self = b.node.argument("self"), written = b.node.argument("exponent");
  const auto* whole = written.get_if<int64_t>();
  const auto* real = written.get_if<double>();
  const double exponent = whole ? static_cast<double>(*whole) : real ? *real : 0;
  const Parts z = parts_of(b, self);
  constexpr double largest = 16;
  if (exponent != std::floor(exponent) || std::abs(exponent) > largest || exponent == 0) return {any_power(b, z, parts_of(b, written))};
  std::optional<Parts> result;
  Parts squares = z;
  for (auto rest = static_cast<int64_t>(std::abs(exponent)); rest > 0; rest /= 2) {
    if (rest % 2 == 1) result = result ? times(b, *result, squares) : squares;
    if (rest > 1) squares = square(b, squares);
  }
  return {exponent < 0 ? inverse(b, *result) : *result};
}

// ---- of several numbers
// self + value * tensor1 * tensor2, or tensor1 / tensor2
template <bool divides>
Results add_of_product(PartsBuilder& b) {
  const Parts second = parts_of(b, b.node.argument("tensor2"));
  const Parts first = parts_of(b, b.node.argument("tensor1"));
  const Parts product = times(b, first, divides ? inverse(b, second) : second);
  const Argument value = b.node.argument("value");
  const auto* one = value.get_if<int64_t>();
  const Parts self = parts_of(b, b.node.argument("self"));
  return {sum(b, self, one && *one == 1 ? product : times(b, product, parts_of(b, value)))};
}
// The sum of products with the first's conjugates.
Results inner_product(PartsBuilder& b) {
  const Parts product = times(b, conjugated(b, b.operand("self")), b.operand("other"));
  return {b.each(product, [&](Value* x) { return b.build("aten.sum.dim_IntList", x, Ints{}); })};
}
// Sizes are multiplied, angles added; `op` multiplies real numbers as the node does.
Parts product_along(PartsBuilder& b, std::string_view sum_op, std::vector<Argument> dims) {
  const DType dtype = b.real_type();
  const Parts z = b.each(b.operand("self"), [&](Value* x) { return b.build.cast(x, dtype); });
  Value* size =
      b.again([&](const NamedArgument& argument) { return argument.name == "self" ? Argument(size_of(b, z)) : argument.value; })[0];
  std::vector<Argument> arguments = {angle_of(b, z)};
  arguments.insert(arguments.end(), dims.begin(), dims.end());
  return polar(b, size, b.build.call(sum_op, std::move(arguments)));
}
Results running_product(PartsBuilder& b) { return {product_along(b, "aten.cumsum.default", {b.node.argument("dim")})}; }
Results product_of_all(PartsBuilder& b) { return {product_along(b, "aten.sum.dim_IntList", {Ints{}})}; }
Results product_of_dim(PartsBuilder& b) {
  return {product_along(b, "aten.sum.dim_IntList", {Ints{b.node.integer("dim")}, b.node.argument("keepdim")})};
}

const RuleRow complex_function_rows[] = {
    {of_self<exponential>, {"aten.exp.default"}},
    {of_self<power_of_two>, {"aten.exp2.default"}},
    {of_self<exponential_less_one>, {"aten.expm1.default"}},
    {of_self<logarithm>, {"aten.log.default"}},
    {of_self<logarithm_of_two>, {"aten.log2.default"}},
    {of_self<logarithm_of_ten>, {"aten.log10.default"}},
    {of_self<logarithm_beside_one>, {"aten.log1p.default"}},
    {of_self<square>, {"aten.square.default"}},
    {of_self<square_root<false>>, {"aten.sqrt.default"}},
    {of_self<square_root<true>>, {"aten.rsqrt.default"}},
    {of_self<hyperbolic_sine>, {"aten.sinh.default"}},
    {of_self<hyperbolic_cosine>, {"aten.cosh.default"}},
    {of_self<hyperbolic_tangent>, {"aten.tanh.default"}},
    {of_self<hyperbolic_sine_inverse>, {"aten.asinh.default"}},
    {of_self<hyperbolic_cosine_inverse>, {"aten.acosh.default"}},
    {of_self<hyperbolic_tangent_inverse>, {"aten.atanh.default"}},
    {of_self<of_angle<hyperbolic_sine>>, {"aten.sin.default"}},
    {of_self<cosine>, {"aten.cos.default"}},
    {of_self<of_angle<hyperbolic_tangent>>, {"aten.tan.default"}},
    {of_self<of_angle<hyperbolic_sine_inverse>>, {"aten.asin.default"}},
    {of_self<cosine_inverse>, {"aten.acos.default"}},
    {of_self<of_angle<hyperbolic_tangent_inverse>>, {"aten.atan.default"}},
    {of_self<sigmoid>, {"aten.sigmoid.default"}},
    {of_self<silu>, {"aten.silu.default"}},
    {of_self<cardinal_sine>, {"aten.sinc.default", "aten.special_sinc.default"}},
    {power, {"aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor", "aten.pow.Scalar"}},
    {add_of_product<false>, {"aten.addcmul.default"}},
    {add_of_product<true>, {"aten.addcdiv.default"}},
    {inner_product, {"aten.vdot.default"}},
    {running_product, {"aten.cumprod.default"}},
    {product_of_all, {"aten.prod.default"}},
    {product_of_dim, {"aten.prod.dim_int"}},
};

}  // namespace

std::span<const RuleRow> function_rules() { return complex_function_rows; }

}  // namespace intaglio::decompose::complex_parts
