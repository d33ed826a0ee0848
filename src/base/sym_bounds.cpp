// Interval arithmetic over size expressions.
#include <algorithm>

#include "base/sym_functions.h"

namespace intaglio {
namespace {

using sym::Function;

// Ends are 128-bit, so that sums and products of 64-bit numbers never overflow; beyond +-limit means unbounded.
using Wide = __int128;
constexpr Wide limit = Wide{1} << 100;

struct Interval {
  Wide min = -limit;
  Wide max = limit;
  bool is_point() const { return min == max; }
};
constexpr Interval unbounded{};
constexpr Interval truth{0, 1};

// Ends outside int64 carry no news: the value itself is an int64.
Interval clipped(Interval interval) {
  if (interval.min < INT64_MIN) interval.min = -limit;
  if (interval.max > INT64_MAX) interval.max = limit;
  interval.min = std::min(interval.min, Wide{INT64_MAX});
  interval.max = std::max(interval.max, Wide{INT64_MIN});
  return interval;
}

bool is_infinite(Wide value) { return value >= limit || value <= -limit; }
int sign(Wide value) { return value < 0 ? -1 : value > 0; }

Wide times(Wide a, Wide b) {
  if (a == 0 || b == 0) return 0;
  if (is_infinite(a) || is_infinite(b)) return sign(a) * sign(b) * limit;
  return a * b;
}
Wide divided(Wide a, Wide b) {  // b is not 0
  if (is_infinite(b)) return is_infinite(a) || a == 0 ? 0 : (sign(a) == sign(b) ? 0 : -1);
  if (is_infinite(a)) return sign(a) * sign(b) * limit;
  const Wide quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

template <typename Combine>
Interval corners(const Interval& a, const Interval& b, Combine combine) {
  const Wide ends[] = {combine(a.min, b.min), combine(a.min, b.max), combine(a.max, b.min), combine(a.max, b.max)};
  return clipped({*std::min_element(ends, ends + 4), *std::max_element(ends, ends + 4)});
}

Interval added(const Interval& a, const Interval& b) {
  const Interval sum{is_infinite(a.min) || is_infinite(b.min) ? -limit : a.min + b.min,
                     is_infinite(a.max) || is_infinite(b.max) ? limit : a.max + b.max};
  return clipped(sum);
}
Interval multiplied(const Interval& a, const Interval& b) { return corners(a, b, times); }

Interval floor_divided(const Interval& a, const Interval& b) {
  if (b.min <= 0 && b.max >= 0) return unbounded;
  Interval result = corners(a, b, divided);
  // The end inf/inf stands for every quotient in between.
  if (is_infinite(b.max) || is_infinite(b.min)) {
    if (is_infinite(a.max)) (b.min > 0 ? result.max : result.min) = (b.min > 0 ? limit : -limit);
    if (is_infinite(a.min)) (b.min > 0 ? result.min : result.max) = (b.min > 0 ? -limit : limit);
  }
  return result;
}

Interval remainder(const Interval& a, const Interval& b) {
  if (b.min <= 0) return unbounded;
  if (a.min >= 0 && a.max < b.min) return a;
  Interval result{0, is_infinite(b.max) ? limit : b.max - 1};
  if (a.min >= 0) result.max = std::min(result.max, a.max);
  return result;
}

Interval power(const Interval& base, const Interval& exponent) {
  if (!exponent.is_point() || exponent.min < 0 || exponent.min > 64) return unbounded;
  Interval result{1, 1};
  for (Wide i = 0; i < exponent.min; ++i) result = multiplied(result, base);
  if (exponent.min % 2 == 0) result.min = std::max(result.min, Wide{0});
  return result;
}

Interval either(const Interval& a, const Interval& b) { return {std::min(a.min, b.min), std::max(a.max, b.max)}; }

Interval decided(bool always, bool never) { return always ? Interval{1, 1} : never ? Interval{0, 0} : truth; }
Interval less(const Interval& a, const Interval& b) { return decided(a.max < b.min, a.min >= b.max); }
// 1 for 0, 0 for every other number.
Interval negated(const Interval& a) { return decided(a.is_point() && a.min == 0, a.min > 0 || a.max < 0); }

Interval interval_of_call(Function function, const std::vector<Interval>& x) {
  switch (function) {
    case Function::add:
    case Function::mul: {
      Interval result = x[0];
      for (size_t i = 1; i < x.size(); ++i) result = function == Function::add ? added(result, x[i]) : multiplied(result, x[i]);
      return result;
    }
    case Function::max:
    case Function::min: {
      Interval result = x[0];
      for (const Interval& one : x) {
        const bool larger = function == Function::max;
        result.min = larger ? std::max(result.min, one.min) : std::min(result.min, one.min);
        result.max = larger ? std::max(result.max, one.max) : std::min(result.max, one.max);
      }
      return result;
    }
    case Function::pow: return power(x[0], x[1]);
    case Function::floor_div: return floor_divided(x[0], x[1]);
    case Function::ceil_div: {
      const Interval floor = floor_divided(x[0], x[1]);
      return added(floor, truth);
    }
    case Function::mod: return remainder(x[0], x[1]);
    case Function::modular_indexing: return remainder(floor_divided(x[0], x[1]), x[2]);
    case Function::where: return either(x[1], x[2]);
    case Function::lshift:
      if (!x[1].is_point() || x[1].min < 0 || x[1].min > 62) return unbounded;
      return multiplied(x[0], {Wide{1} << static_cast<int>(x[1].min), Wide{1} << static_cast<int>(x[1].min)});
    case Function::rshift:
      if (!x[1].is_point() || x[1].min < 0 || x[1].min > 62) return unbounded;
      return floor_divided(x[0], {Wide{1} << static_cast<int>(x[1].min), Wide{1} << static_cast<int>(x[1].min)});
    // Rounding a quotient stays within the floor and the ceiling.
    case Function::true_div: return added(floor_divided(x[0], x[1]), truth);
    case Function::floor_to_int:
    case Function::ceil_to_int:
    case Function::trunc_to_int:
    case Function::trunc_to_float:
    case Function::round_to_int:
    case Function::to_float:
    case Function::identity: return x[0];
    case Function::float_pow:
    case Function::round_decimal: return unbounded;
    case Function::abs: {
      const Interval mirrored = multiplied(x[0], {-1, -1});
      return {std::max({Wide{0}, x[0].min, mirrored.min}), std::max(x[0].max, mirrored.max)};
    }
    case Function::lt: return less(x[0], x[1]);
    case Function::gt: return less(x[1], x[0]);
    case Function::ge: return negated(less(x[0], x[1]));
    case Function::le: return negated(less(x[1], x[0]));
    case Function::eq:
    case Function::ne:
    case Function::logical_and:
    case Function::logical_or:
    case Function::dense_indicator: return truth;
    case Function::logical_not: return negated(x[0]);
  }
  return unbounded;
}

Interval interval_of(const SymRange& range) {
  Interval result;
  if (range.min) result.min = *range.min;
  if (range.max) result.max = *range.max;
  return result;
}

Interval interval_of(const SymExpr& expression, const SymRanges& ranges) {
  switch (expression.kind) {
    case SymExpr::Kind::integer: return {expression.integer, expression.integer};
    case SymExpr::Kind::real: {
      if (!(expression.real > -0x1p62 && expression.real < 0x1p62)) return unbounded;
      const Wide whole = static_cast<int64_t>(expression.real);
      return {whole - 1, whole + 1};
    }
    case SymExpr::Kind::symbol: {
      const auto range = ranges.find(expression.name);
      return range == ranges.end() ? unbounded : interval_of(range->second);
    }
    case SymExpr::Kind::call: break;
  }
  std::vector<Interval> arguments;
  arguments.reserve(expression.arguments.size());
  for (const SymExprPtr& argument : expression.arguments) arguments.push_back(interval_of(*argument, ranges));
  return interval_of_call(sym::function_of(expression), arguments);
}

}  // namespace

SymRange bounds(const SymExpr& expression, const SymRanges& ranges) {
  Interval result = interval_of(expression, ranges);
  if (expression.kind == SymExpr::Kind::call && !ranges.empty()) {
    const auto derived = ranges.find(to_string(expression));
    if (derived != ranges.end()) {
      const Interval stated = interval_of(derived->second);
      result = {std::max(result.min, stated.min), std::min(result.max, stated.max)};
    }
  }
  SymRange range;
  if (!is_infinite(result.min)) range.min = static_cast<int64_t>(result.min);
  if (!is_infinite(result.max)) range.max = static_cast<int64_t>(result.max);
  return range;
}

}  // namespace intaglio
