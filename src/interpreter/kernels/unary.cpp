// Functions of one tensor, element by element, with constants.
#include <cmath>
#include <limits>
#include <numbers>

#include "interpreter/elementwise.h"
#include "interpreter/kernel_table.h"
#include "interpreter/vector_math.h"

namespace intaglio::interp {
namespace {

using std::numeric_limits;

// Each operation as an expression in x and p0..p2, in any compute type.
#define INTAGLIO_UNARY(Name, expression)                             \
  struct Name {                                                      \
    static constexpr int arity = 1;                                  \
    template <typename T>                                            \
    INTAGLIO_INLINE static T apply(T x, const std::array<T, 4>& p) { \
      [[maybe_unused]] const T p0 = p[0], p1 = p[1], p2 = p[2];      \
      return static_cast<T>(expression);                             \
    }                                                                \
  };

// float32 has vector versions of these, float64 the library's.
#define INTAGLIO_CHOOSE(name)                                     \
  template <typename T>                                           \
  INTAGLIO_INLINE T name##_of(T x) {                              \
    if constexpr (std::is_same_v<T, float>) return math::name(x); \
    else return std::name(x);                                     \
  }
INTAGLIO_CHOOSE(exp)
INTAGLIO_CHOOSE(tanh)
INTAGLIO_CHOOSE(erf)
template <typename T>
INTAGLIO_INLINE T sigmoid_of(T x) {
  return T(1) / (T(1) + exp_of(-x));
}
template <typename T>
INTAGLIO_INLINE T round_of(T x) {
  if constexpr (std::is_same_v<T, float>) return math::round_even(x);
  else if constexpr (std::is_same_v<T, double>) return std::nearbyint(x);
  else return x;
}
// Comparisons are written so that NaN passes through.
template <typename T>
INTAGLIO_INLINE T at_least(T x, T low) {
  return x < low ? low : x;
}
template <typename T>
INTAGLIO_INLINE T at_most(T x, T high) {
  return x > high ? high : x;
}
template <typename T>
INTAGLIO_INLINE T clamped(T x, T low, T high) {
  return at_most(at_least(x, low), high);
}
template <typename T>
INTAGLIO_INLINE T negated(T x) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));
  else return -x;
}
template <typename T>
INTAGLIO_INLINE T product(T a, T b) {
  if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  else return a * b;
}
template <typename T>
T softplus_of(T x, T beta, T threshold) {
  return x * beta > threshold ? x : std::log1p(std::exp(x * beta)) / beta;
}

// Winitzki's closed form, then Newton's steps on erf.
double erfinv_of(double y) {
  if (std::fabs(y) == 1) return std::copysign(INFINITY, y);
  constexpr double a = 0.147;
  const double log = std::log1p(-y * y), b = 2 / (std::numbers::pi * a) + log / 2;
  double x = std::copysign(std::sqrt(std::sqrt(b * b - log / a) - b), y);
  for (int step = 0; step < 4; ++step) x -= (std::erf(x) - y) * std::exp(x * x) / (2 * std::numbers::inv_sqrtpi);
  return x;
}

INTAGLIO_UNARY(Relu, at_least(x, T(0)))
INTAGLIO_UNARY(Clamp, clamped(x, p0, p1))
INTAGLIO_UNARY(Abs, x < T(0) ? negated(x) : (x == T(0) ? T(0) : x))
INTAGLIO_UNARY(Neg, negated(x))
INTAGLIO_UNARY(Identity, x)
INTAGLIO_UNARY(Square, product(x, x))
INTAGLIO_UNARY(Cube, product(product(x, x), x))
INTAGLIO_UNARY(Sign, x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0))
INTAGLIO_UNARY(LogicalNot, x == T(0) ? T(1) : T(0))
INTAGLIO_UNARY(BitwiseNot, ~x)
INTAGLIO_UNARY(IsNan, x != x ? T(1) : T(0))
INTAGLIO_UNARY(IsInf, x == T(INFINITY) || x == T(-INFINITY) ? T(1) : T(0))
INTAGLIO_UNARY(IsFinite, x - x == T(0) ? T(1) : T(0))
INTAGLIO_UNARY(Threshold, x <= p0 ? p1 : x)
INTAGLIO_UNARY(LeakyRelu, x > T(0) ? x : x * p0)
INTAGLIO_UNARY(HardSwish, x* clamped(x + T(3), T(0), T(6)) / T(6))
INTAGLIO_UNARY(HardSigmoid, clamped(x + T(3), T(0), T(6)) / T(6))
INTAGLIO_UNARY(Sigmoid, sigmoid_of(x))
INTAGLIO_UNARY(Silu, x / (T(1) + exp_of(-x)))
INTAGLIO_UNARY(Tanh, tanh_of(x))
INTAGLIO_UNARY(Exp, exp_of(x))
INTAGLIO_UNARY(Erf, erf_of(x))
INTAGLIO_UNARY(Gelu, x* T(0.5) * (T(1) + erf_of(x * T(0.70710678118654752))))
INTAGLIO_UNARY(GeluTanh, T(0.5) * x * (T(1) + tanh_of(T(0.79788456080286536) * (x + T(0.044715) * x * x * x))))
INTAGLIO_UNARY(Sqrt, std::sqrt(x))
INTAGLIO_UNARY(Rsqrt, T(1) / std::sqrt(x))
INTAGLIO_UNARY(Reciprocal, T(1) / x)
INTAGLIO_UNARY(ReciprocalSquare, T(1) / (x * x))
INTAGLIO_UNARY(Floor, std::floor(x))
INTAGLIO_UNARY(Ceil, std::ceil(x))
INTAGLIO_UNARY(Trunc, std::trunc(x))
INTAGLIO_UNARY(Frac, x - std::trunc(x))
INTAGLIO_UNARY(Round, round_of(x))
INTAGLIO_UNARY(RoundDecimals, p1 > T(0) ? round_of(x * p0) / p0 : round_of(x / p0) * p0)
INTAGLIO_UNARY(Elu, x <= T(0) ? std::expm1(x * p2) * (p0 * p1) : x * p1)
INTAGLIO_UNARY(Celu, x <= T(0) ? p0 * std::expm1(x / p0) : x)
INTAGLIO_UNARY(Softplus, softplus_of(x, p0, p1))
INTAGLIO_UNARY(Mish, x* tanh_of(softplus_of(x, T(1), T(20))))
INTAGLIO_UNARY(LogSigmoid, at_most(x, T(0)) - std::log1p(std::exp(-std::fabs(x))))
INTAGLIO_UNARY(HardShrink, x >= -p0 && x <= p0 ? T(0) : x)
INTAGLIO_UNARY(SoftShrink, x > p0 ? x - p0 : x < -p0 ? x + p0 : x * T(0))
INTAGLIO_UNARY(Logit, std::log(clamped(x, p0, T(1) - p0) / (T(1) - clamped(x, p0, T(1) - p0))))
INTAGLIO_UNARY(NanToNum, x != x ? p0 : x == T(INFINITY) ? p1 : x == T(-INFINITY) ? p2 : x)
INTAGLIO_UNARY(Log, std::log(x))
INTAGLIO_UNARY(Log2, std::log2(x))
INTAGLIO_UNARY(Log10, std::log10(x))
INTAGLIO_UNARY(Log1p, std::log1p(x))
INTAGLIO_UNARY(Exp2, std::exp2(x))
INTAGLIO_UNARY(Expm1, std::expm1(x))
INTAGLIO_UNARY(Sin, std::sin(x))
INTAGLIO_UNARY(Cos, std::cos(x))
INTAGLIO_UNARY(Tan, std::tan(x))
INTAGLIO_UNARY(Asin, std::asin(x))
INTAGLIO_UNARY(Acos, std::acos(x))
INTAGLIO_UNARY(Atan, std::atan(x))
INTAGLIO_UNARY(Sinh, std::sinh(x))
INTAGLIO_UNARY(Cosh, std::cosh(x))
INTAGLIO_UNARY(Asinh, std::asinh(x))
INTAGLIO_UNARY(Acosh, std::acosh(x))
INTAGLIO_UNARY(Atanh, std::atanh(x))
INTAGLIO_UNARY(Erfc, std::erfc(x))
INTAGLIO_UNARY(Erfinv, static_cast<T>(erfinv_of(static_cast<double>(x))))

enum class Result : uint8_t {
  same,      // the input's type
  floating,  // integers become float32
  boolean,
};

using ReadParameters = Parameters (*)(const Call&);
double or_else(const Call& call, std::string_view name, double otherwise) {
  const auto number = call.optional_number(name);
  return number ? number->as_double() : otherwise;
}
Parameters none(const Call&) { return {}; }
Parameters relu6_bounds(const Call&) { return {0, 6}; }
Parameters hardtanh_bounds(const Call& call) { return {call.floating("min_val"), call.floating("max_val")}; }
Parameters slope(const Call& call) { return {call.floating("negative_slope")}; }
Parameters elu_constants(const Call& call) { return {call.floating("alpha"), call.floating("scale"), call.floating("input_scale")}; }
Parameters selu_constants(const Call&) { return {1.6732632423543772848170429916717, 1.0507009873554804934193349852946, 1}; }
// The power of ten, and the sign of its exponent.
Parameters decimals(const Call& call) {
  const int64_t count = call.integer("decimals");
  return {std::pow(10.0, std::fabs(static_cast<double>(count))), count > 0 ? 1.0 : -1.0};
}
Parameters celu_constants(const Call& call) { return {call.floating("alpha")}; }
Parameters softplus_constants(const Call& call) { return {call.floating("beta"), call.floating("threshold")}; }
Parameters threshold_constants(const Call& call) { return {call.floating("threshold"), call.floating("value")}; }
Parameters lambda(const Call& call) { return {call.floating("lambd")}; }
Parameters logit_eps(const Call& call) { return {or_else(call, "eps", -numeric_limits<float>::infinity())}; }
Parameters nan_constants(const Call& call) {
  return {or_else(call, "nan", 0), or_else(call, "posinf", numeric_limits<float>::max()),
          or_else(call, "neginf", numeric_limits<float>::lowest())};
}

struct Row {
  std::string_view op;
  BlockFunctions functions;
  Result result;
  ReadParameters parameters = none;
};

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"aten.relu.default", all_types<Relu>(), Result::same},
      {"aten.relu6.default", all_types<Clamp>(), Result::same, relu6_bounds},
      {"aten.hardtanh.default", all_types<Clamp>(), Result::same, hardtanh_bounds},
      {"aten.abs.default", all_types<Abs>(), Result::same},
      {"aten.neg.default", all_types<Neg>(), Result::same},
      {"aten.positive.default", all_types<Identity>(), Result::same},
      {"aten.square.default", all_types<Square>(), Result::same},
      {"aten.sign.default", all_types<Sign>(), Result::same},
      {"aten.sgn.default", all_types<Sign>(), Result::same},
      {"aten.logical_not.default", all_types<LogicalNot>(), Result::boolean},
      {"aten.isnan.default", all_types<IsNan>(), Result::boolean},
      {"aten.isinf.default", float_only<IsInf>(), Result::boolean},
      {"aten.isfinite.default", all_types<IsFinite>(), Result::boolean},
      {"aten.threshold.default", all_types<Threshold>(), Result::same, threshold_constants},
      {"aten.leaky_relu.default", float_only<LeakyRelu>(), Result::same, slope},
      {"aten.hardswish.default", float_only<HardSwish>(), Result::same},
      {"aten.hardsigmoid.default", float_only<HardSigmoid>(), Result::same},
      {"aten.silu.default", float_only<Silu>(), Result::same},
      {"aten.mish.default", float_only<Mish>(), Result::same},
      {"aten.elu.default", float_only<Elu>(), Result::same, elu_constants},
      {"aten.selu.default", float_only<Elu>(), Result::same, selu_constants},
      {"aten.celu.default", float_only<Celu>(), Result::same, celu_constants},
      {"aten.softplus.default", float_only<Softplus>(), Result::same, softplus_constants},
      {"aten.log_sigmoid.default", float_only<LogSigmoid>(), Result::same},
      {"aten.hardshrink.default", float_only<HardShrink>(), Result::same, lambda},
      {"aten.softshrink.default", float_only<SoftShrink>(), Result::same, lambda},
      {"aten.nan_to_num.default", float_only<NanToNum>(), Result::same, nan_constants},
      {"aten.floor.default", float_only<Floor>(), Result::same},
      {"aten.ceil.default", float_only<Ceil>(), Result::same},
      {"aten.trunc.default", float_only<Trunc>(), Result::same},
      {"aten.fix.default", float_only<Trunc>(), Result::same},
      {"aten.frac.default", float_only<Frac>(), Result::same},
      {"aten.round.default", float_only<Round>(), Result::same},
      {"aten.round.decimals", float_only<RoundDecimals>(), Result::same, decimals},
      {"aten.sigmoid.default", float_only<Sigmoid>(), Result::floating},
      {"aten.tanh.default", float_only<Tanh>(), Result::floating},
      {"aten.exp.default", float_only<Exp>(), Result::floating},
      {"aten.exp2.default", float_only<Exp2>(), Result::floating},
      {"aten.expm1.default", float_only<Expm1>(), Result::floating},
      {"aten.log.default", float_only<Log>(), Result::floating},
      {"aten.log2.default", float_only<Log2>(), Result::floating},
      {"aten.log10.default", float_only<Log10>(), Result::floating},
      {"aten.log1p.default", float_only<Log1p>(), Result::floating},
      {"aten.sqrt.default", float_only<Sqrt>(), Result::floating},
      {"aten.rsqrt.default", float_only<Rsqrt>(), Result::floating},
      {"aten.reciprocal.default", float_only<Reciprocal>(), Result::floating},
      {"aten.sin.default", float_only<Sin>(), Result::floating},
      {"aten.cos.default", float_only<Cos>(), Result::floating},
      {"aten.tan.default", float_only<Tan>(), Result::floating},
      {"aten.asin.default", float_only<Asin>(), Result::floating},
      {"aten.acos.default", float_only<Acos>(), Result::floating},
      {"aten.atan.default", float_only<Atan>(), Result::floating},
      {"aten.sinh.default", float_only<Sinh>(), Result::floating},
      {"aten.cosh.default", float_only<Cosh>(), Result::floating},
      {"aten.asinh.default", float_only<Asinh>(), Result::floating},
      {"aten.acosh.default", float_only<Acosh>(), Result::floating},
      {"aten.atanh.default", float_only<Atanh>(), Result::floating},
      {"aten.erf.default", float_only<Erf>(), Result::floating},
      {"aten.erfc.default", float_only<Erfc>(), Result::floating},
      {"aten.erfinv.default", float_only<Erfinv>(), Result::floating},
      {"aten.logit.default", float_only<Logit>(), Result::floating, logit_eps},
      {"aten.special_logit.default", float_only<Logit>(), Result::floating, logit_eps},
  };
  return table;
}

void run_unary(Call& call, const BlockFunctions& functions, Result kind, const Parameters& parameters) {
  const Tensor& self = call.tensor("self");
  const bool widened = kind == Result::floating && !is_floating(self.dtype());
  const DType compute = widened ? DType::float32 : self.dtype();
  const Tensor* const operands[] = {&self};
  const Tensor out = elementwise_result(call, kind == Result::boolean ? DType::boolean : compute, operands);
  run_elementwise(call, functions, compute, out, operands, parameters);
  call.set(out);
}

void unary(Call& call) {
  const Row& row = rows()[static_cast<size_t>(call.variant())];
  const bool rounding = row.functions.i64 == nullptr && row.result == Result::same;
  const Tensor& self = call.tensor("self");
  if (rounding && is_integral(self.dtype())) {  // floor, round, ... of integers are the integers
    const BlockFunctions identity = all_types<Identity>();
    return run_unary(call, identity, Result::same, {});
  }
  run_unary(call, row.functions, row.result, row.parameters(call));
}

void gelu(Call& call) {
  const std::string approximate = call.string("approximate");
  if (approximate == "none") return run_unary(call, float_only<Gelu>(), Result::same, {});
  if (approximate != "tanh") call.unsupported("approximate='" + escaped(approximate) + "'");
  run_unary(call, float_only<GeluTanh>(), Result::same, {});
}

void bitwise_not(Call& call) {
  const bool boolean = call.tensor("self").dtype() == DType::boolean;
  run_unary(call, boolean ? integer_only<LogicalNot>() : integer_only<BitwiseNot>(), Result::same, {});
}

// clamp with numbers: a bound of a higher category raises the type.
void clamp(Call& call) {
  const Tensor& self = call.tensor("self");
  const auto low = call.optional_number("min"), high = call.optional_number("max");
  std::vector<Operand> operands = {self};
  for (const auto& bound : {low, high})
    if (bound) operands.emplace_back(*bound);
  const DType dtype = call.destination() ? self.dtype() : result_type(operands);
  const Tensor* const inputs[] = {&self};
  const Tensor out = elementwise_result(call, dtype, inputs);
  const Parameters parameters = {low ? low->as_double() : -numeric_limits<double>::infinity(),
                                 high ? high->as_double() : numeric_limits<double>::infinity()};
  run_elementwise(call, all_types<Clamp>(), dtype, out, inputs, parameters);
  call.set(out);
}

// Powers that PyTorch computes without pow().
void power(Call& call) {
  const Tensor& self = call.tensor("self");
  const Number exponent = call.number("exponent");
  const std::vector<Operand> operands = {self, exponent};
  const DType dtype = call.destination() ? self.dtype() : result_type(operands);
  struct Special {
    double exponent;
    BlockFunctions functions;
  };
  static const Special specials[] = {
      {1, all_types<Identity>()},
      {2, all_types<Square>()},
      {3, all_types<Cube>()},
      {0.5, float_only<Sqrt>()},
      {-0.5, float_only<Rsqrt>()},
      {-1, float_only<Reciprocal>()},
      {-2, float_only<ReciprocalSquare>()},
  };
  const Tensor* const inputs[] = {&self};
  const Tensor out = elementwise_result(call, dtype, inputs);
  for (const Special& special : specials)
    if (special.exponent == exponent.as_double() && (is_floating(dtype) || special.exponent > 0)) {
      run_elementwise(call, special.functions, dtype, out, inputs, {});
      return call.set(out);
    }
  const Tensor number = scalar_tensor(exponent, dtype);
  const Tensor* const both[] = {&self, &number};
  run_elementwise(call, power_functions(), dtype, out, both, {});
  call.set(out);
}

}  // namespace

std::span<const Kernel> unary_kernels() {
  static const std::vector<Kernel> table = [] {
    std::vector<Kernel> kernels = {
        {"aten.gelu.default", gelu, 0, false, true},       {"aten.bitwise_not.default", bitwise_not, 0, false, true},
        {"aten.clamp.default", clamp, 0, false, true},     {"aten.clip.default", clamp, 0, false, true},
        {"aten.clamp_min.default", clamp, 0, false, true}, {"aten.clamp_max.default", clamp, 0, false, true},
        {"aten.pow.Tensor_Scalar", power, 0, false, true},
    };
    for (size_t i = 0; i < rows().size(); ++i) kernels.push_back({rows()[i].op, unary, static_cast<int>(i), false, true});
    return kernels;
  }();
  return table;
}

}  // namespace intaglio::interp
