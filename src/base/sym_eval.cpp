// The value of a size expression, with Python's meaning of // and %, every step checked for overflow.
#include <algorithm>
#include <cmath>

#include "base/sym_functions.h"

namespace intaglio {
namespace {

using sym::floor_divide;
using sym::Function;

// Python's number: an int or a float.
struct Number {
  bool is_real = false;
  int64_t integer = 0;
  double real = 0;

  static Number of(int64_t value) { return {false, value, 0}; }
  static Number of_real(double value) { return {true, 0, value}; }
  static Number of_bool(bool value) { return of(value ? 1 : 0); }
  double as_double() const { return is_real ? real : static_cast<double>(integer); }
};
using Result = std::optional<Number>;

Result integer_of(double value) {
  // 2^63 itself does not fit.
  if (!(value >= -0x1p63 && value < 0x1p63)) return std::nullopt;
  return Number::of(static_cast<int64_t>(value));
}

Result add(const Number& a, const Number& b) {
  if (a.is_real || b.is_real) return Number::of_real(a.as_double() + b.as_double());
  int64_t sum = 0;
  return __builtin_add_overflow(a.integer, b.integer, &sum) ? Result() : Number::of(sum);
}

Result multiply(const Number& a, const Number& b) {
  if (a.is_real || b.is_real) return Number::of_real(a.as_double() * b.as_double());
  int64_t product = 0;
  return __builtin_mul_overflow(a.integer, b.integer, &product) ? Result() : Number::of(product);
}

Result power(const Number& base, const Number& exponent) {
  if (base.is_real || exponent.is_real || exponent.integer < 0) return Number::of_real(std::pow(base.as_double(), exponent.as_double()));
  Result result = Number::of(1);
  Result square = base;
  for (int64_t left = exponent.integer; left > 0; left >>= 1) {
    if (left & 1) result = square ? multiply(*result, *square) : Result();
    if (!result) return std::nullopt;
    if (left > 1 && square) square = multiply(*square, *square);
  }
  return result;
}

Result divide_floor(const Number& a, const Number& b) {
  if (a.is_real || b.is_real || b.integer == 0) return std::nullopt;
  if (a.integer == INT64_MIN && b.integer == -1) return std::nullopt;
  return Number::of(floor_divide(a.integer, b.integer));
}

Result remainder(const Number& a, const Number& b) {
  if (a.is_real || b.is_real || b.integer == 0) return std::nullopt;
  if (b.integer == -1) return Number::of(0);
  const int64_t rest = a.integer % b.integer;
  return Number::of(rest != 0 && (rest < 0) != (b.integer < 0) ? rest + b.integer : rest);
}

Result ceil_divide(const Number& a, const Number& b) {
  const Result quotient = divide_floor(a, b);
  if (!quotient) return quotient;
  const Result rest = remainder(a, b);
  return rest->integer == 0 ? quotient : add(*quotient, Number::of(1));
}

Result shift(const Number& a, const Number& b, bool left) {
  if (a.is_real || b.is_real || b.integer < 0) return std::nullopt;
  if (left) return b.integer > 62 ? Result() : multiply(a, Number::of(int64_t{1} << b.integer));
  return Number::of(a.integer >> std::min<int64_t>(b.integer, 63));
}

int compare(const Number& a, const Number& b) {
  if (!a.is_real && !b.is_real) return a.integer < b.integer ? -1 : a.integer > b.integer;
  return a.as_double() < b.as_double() ? -1 : a.as_double() > b.as_double();
}

double round_half_even(double value) { return std::nearbyint(value); }

Result number_of_call(Function function, const std::vector<Number>& x) {
  switch (function) {
    case Function::add:
    case Function::mul: {
      Result result = x[0];
      for (size_t i = 1; i < x.size() && result; ++i) result = function == Function::add ? add(*result, x[i]) : multiply(*result, x[i]);
      return result;
    }
    case Function::max: return *std::max_element(x.begin(), x.end(), [](auto& a, auto& b) { return compare(a, b) < 0; });
    case Function::min: return *std::min_element(x.begin(), x.end(), [](auto& a, auto& b) { return compare(a, b) < 0; });
    case Function::pow: return power(x[0], x[1]);
    case Function::floor_div: return divide_floor(x[0], x[1]);
    case Function::ceil_div: return ceil_divide(x[0], x[1]);
    case Function::mod: return remainder(x[0], x[1]);
    case Function::modular_indexing: {
      const Result quotient = divide_floor(x[0], x[1]);
      return quotient ? remainder(*quotient, x[2]) : quotient;
    }
    case Function::where: return compare(x[0], Number::of(0)) != 0 ? x[1] : x[2];
    case Function::lshift: return shift(x[0], x[1], true);
    case Function::rshift: return shift(x[0], x[1], false);
    case Function::true_div:
      if (x[1].as_double() == 0) return std::nullopt;
      return Number::of_real(x[0].as_double() / x[1].as_double());
    case Function::float_pow: return Number::of_real(std::pow(x[0].as_double(), x[1].as_double()));
    case Function::floor_to_int: return x[0].is_real ? integer_of(std::floor(x[0].real)) : Result(x[0]);
    case Function::ceil_to_int: return x[0].is_real ? integer_of(std::ceil(x[0].real)) : Result(x[0]);
    case Function::trunc_to_int: return x[0].is_real ? integer_of(std::trunc(x[0].real)) : Result(x[0]);
    case Function::trunc_to_float: return Number::of_real(std::trunc(x[0].as_double()));
    case Function::round_to_int: return x[0].is_real ? integer_of(round_half_even(x[0].real)) : Result(x[0]);
    case Function::round_decimal: {
      if (x[1].is_real || std::abs(x[1].integer) > 300) return std::nullopt;
      const double scale = std::pow(10.0, static_cast<double>(x[1].integer));
      return Number::of_real(round_half_even(x[0].as_double() * scale) / scale);
    }
    case Function::to_float: return Number::of_real(x[0].as_double());
    case Function::identity: return x[0];
    case Function::abs:
      if (x[0].is_real) return Number::of_real(std::abs(x[0].real));
      return x[0].integer == INT64_MIN ? Result() : Number::of(std::abs(x[0].integer));
    case Function::dense_indicator: return std::nullopt;  // carried, never computed
    case Function::ge: return Number::of_bool(compare(x[0], x[1]) >= 0);
    case Function::le: return Number::of_bool(compare(x[0], x[1]) <= 0);
    case Function::gt: return Number::of_bool(compare(x[0], x[1]) > 0);
    case Function::lt: return Number::of_bool(compare(x[0], x[1]) < 0);
    case Function::eq: return Number::of_bool(compare(x[0], x[1]) == 0);
    case Function::ne: return Number::of_bool(compare(x[0], x[1]) != 0);
    case Function::logical_and: return Number::of_bool(std::all_of(x.begin(), x.end(), [](auto& v) { return v.as_double() != 0; }));
    case Function::logical_or: return Number::of_bool(std::any_of(x.begin(), x.end(), [](auto& v) { return v.as_double() != 0; }));
    case Function::logical_not: return Number::of_bool(x[0].as_double() == 0);
  }
  return std::nullopt;
}

Result number_of(const SymExpr& expression, const SymBindings& bindings) {
  switch (expression.kind) {
    case SymExpr::Kind::integer: return Number::of(expression.integer);
    case SymExpr::Kind::real: return Number::of_real(expression.real);
    case SymExpr::Kind::symbol: {
      const auto bound = bindings.find(expression.name);
      return bound == bindings.end() ? Result() : Number::of(bound->second);
    }
    case SymExpr::Kind::call: break;
  }
  std::vector<Number> arguments;
  arguments.reserve(expression.arguments.size());
  for (const SymExprPtr& argument : expression.arguments) {
    const Result value = number_of(*argument, bindings);
    if (!value) return std::nullopt;
    arguments.push_back(*value);
  }
  return number_of_call(sym::function_of(expression), arguments);
}

}  // namespace

std::optional<int64_t> evaluate(const SymExpr& expression, const SymBindings& bindings) {
  const Result result = number_of(expression, bindings);
  if (!result) return std::nullopt;
  if (!result->is_real) return result->integer;
  // `Mul(Rational(1, 2), s)` is a whole number wherever the exporter used it as a size.
  const double value = result->real;
  if (std::abs(value) <= 0x1p53 && value == std::trunc(value)) return static_cast<int64_t>(value);
  return std::nullopt;
}

}  // namespace intaglio
