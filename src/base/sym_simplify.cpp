// The canonical form of size expressions: a sum of products of atoms with collected coefficients, in a fixed order.
// Equal texts mean equal expressions; the converse holds for polynomials with a bounded number of terms.
#include <algorithm>

#include <fmt/format.h>

#include "base/sym_functions.h"

namespace intaglio::sym {
namespace {

constexpr size_t max_terms = 64;

// A product of atoms (symbols and calls that are no polynomials), each with its text and its power.
struct Monomial {
  int64_t coefficient = 0;
  std::map<std::string, std::pair<SymExprPtr, int64_t>> factors;
};
// By the text of the product; "" is the constant.
using Polynomial = std::map<std::string, Monomial>;
// Nothing when a coefficient overflows or there are too many terms.
using Outcome = std::optional<Polynomial>;

Polynomial constant(int64_t value) {
  Polynomial result;
  if (value != 0) result[""].coefficient = value;
  return result;
}

std::optional<int64_t> constant_of(const Polynomial& polynomial) {
  if (polynomial.empty()) return 0;
  if (polynomial.size() == 1 && polynomial.begin()->first.empty()) return polynomial.begin()->second.coefficient;
  return std::nullopt;
}

bool add_into(Polynomial& sum, const std::string& key, const Monomial& monomial) {
  Monomial& target = sum[key];
  int64_t coefficient = 0;
  if (__builtin_add_overflow(target.coefficient, monomial.coefficient, &coefficient)) return false;
  if (coefficient == 0) {
    sum.erase(key);
    return true;
  }
  target.factors = monomial.factors;
  target.coefficient = coefficient;
  return sum.size() <= max_terms;
}

std::string key_of(const Monomial& monomial) {
  std::string key;
  for (const auto& [text, factor] : monomial.factors)
    key += fmt::format("{}{}{}", key.empty() ? "" : "*", text, factor.second == 1 ? "" : fmt::format("**{}", factor.second));
  return key;
}

SymExprPtr expression_of(const Monomial& monomial) {
  std::vector<SymExprPtr> factors;
  if (monomial.coefficient != 1 || monomial.factors.empty()) factors.push_back(make_integer(monomial.coefficient));
  for (const auto& [text, factor] : monomial.factors)
    factors.push_back(factor.second == 1 ? factor.first : make_call("Pow", {factor.first, make_integer(factor.second)}));
  return factors.size() == 1 ? factors[0] : make_call("Mul", std::move(factors));
}

SymExprPtr expression_of(const Polynomial& polynomial) {
  if (const auto value = constant_of(polynomial)) return make_integer(*value);
  std::vector<SymExprPtr> terms;
  for (const auto& [key, monomial] : polynomial)
    if (!key.empty()) terms.push_back(expression_of(monomial));
  if (polynomial.begin()->first.empty()) terms.push_back(expression_of(polynomial.begin()->second));
  return terms.size() == 1 ? terms[0] : make_call("Add", std::move(terms));
}

// Exact when every coefficient is a multiple of the divisor.
Outcome exact_quotient(const Polynomial& dividend, int64_t divisor) {
  if (divisor <= 0) return std::nullopt;
  Polynomial result = dividend;
  for (auto& [key, monomial] : result) {
    if (monomial.coefficient % divisor != 0) return std::nullopt;
    monomial.coefficient /= divisor;
  }
  return result;
}

// Max and Min: flat, sorted, without repetitions, the constants folded into one.
SymExprPtr extremum(const std::string& name, const std::vector<SymExprPtr>& arguments, bool larger) {
  std::map<std::string, SymExprPtr> distinct;
  std::optional<int64_t> constant;
  const auto collect = [&](const SymExprPtr& argument) {
    if (argument->kind != SymExpr::Kind::integer) {
      distinct.emplace(infix(*argument), argument);
      return;
    }
    const int64_t value = argument->integer;
    constant = !constant ? value : larger ? std::max(*constant, value) : std::min(*constant, value);
  };
  for (const SymExprPtr& argument : arguments) {
    if (argument->kind == SymExpr::Kind::call && argument->name == name) std::ranges::for_each(argument->arguments, collect);
    else collect(argument);
  }
  std::vector<SymExprPtr> result;
  if (constant) result.push_back(make_integer(*constant));
  for (auto& [text, argument] : distinct) result.push_back(argument);
  return result.size() == 1 ? result[0] : make_call(name, std::move(result));
}

// One expression in its canonical form, within a number of steps: a step is one term made, or the text of a few parts of an atom.
class Canonical {
 public:
  // Nothing where that takes too many steps or parts.
  SymExprPtr of(const SymExpr& call) {
    const Outcome polynomial = polynomial_of_call(call);
    if (!polynomial || steps_left_ == 0) return nullptr;
    SymExprPtr result = expression_of(*polynomial);
    return is_small(*result) ? result : nullptr;
  }

 private:
  bool spend(size_t steps) {
    steps_left_ -= std::min(steps, steps_left_);
    return steps_left_ > 0;
  }

  Polynomial atom(SymExprPtr expression) {
    const std::string text = infix(*expression);
    spend(text.size() / 16);
    Monomial monomial{1, {}};
    monomial.factors.emplace(text, std::pair{std::move(expression), int64_t{1}});
    Polynomial result;
    result.emplace(text, std::move(monomial));
    return result;
  }

  Outcome product(const Polynomial& a, const Polynomial& b) {
    Polynomial result;
    for (const auto& [left_key, left] : a) {
      for (const auto& [right_key, right] : b) {
        if (!spend(1 + left.factors.size() + right.factors.size() + left_key.size() / 16)) return std::nullopt;
        Monomial term = left;
        if (__builtin_mul_overflow(left.coefficient, right.coefficient, &term.coefficient)) return std::nullopt;
        for (const auto& [text, factor] : right.factors) {
          const auto [place, added] = term.factors.emplace(text, factor);
          if (!added) place->second.second += factor.second;
        }
        if (!add_into(result, key_of(term), term)) return std::nullopt;
      }
    }
    return result;
  }

  std::vector<Outcome> polynomials_of(const std::vector<SymExprPtr>& arguments) {
    std::vector<Outcome> result;
    for (const SymExprPtr& argument : arguments) result.push_back(polynomial_of(argument));
    return result;
  }

  // A call that is no polynomial: its arguments made canonical, folded when they are all numbers.
  Outcome opaque(const SymExpr& call, Function function, const std::vector<Outcome>& canonical) {
    std::vector<SymExprPtr> arguments;
    for (size_t i = 0; i < canonical.size(); ++i) arguments.push_back(canonical[i] ? expression_of(*canonical[i]) : call.arguments[i]);
    if (!spend(arguments.size())) return std::nullopt;
    const bool is_extremum = function == Function::max || function == Function::min;
    SymExprPtr result =
        is_extremum ? extremum(call.name, arguments, function == Function::max) : make_call(call.name, std::move(arguments));
    if (result->kind == SymExpr::Kind::integer) return constant(result->integer);
    const bool numbers =
        !is_extremum && std::ranges::all_of(result->arguments, [](const SymExprPtr& a) { return a->kind == SymExpr::Kind::integer; });
    if (numbers && function != Function::true_div)
      if (const auto value = evaluate(*result, {})) return constant(*value);
    return atom(std::move(result));
  }

  Outcome sum_or_product(const SymExpr& call, Function function) {
    Polynomial result = constant(function == Function::add ? 0 : 1);
    for (const SymExprPtr& argument : call.arguments) {
      Outcome part = polynomial_of(argument);
      if (!part) return part;
      if (function == Function::mul) {
        Outcome next = product(result, *part);
        if (!next) return next;
        result = std::move(*next);
      } else {
        for (const auto& [key, monomial] : *part)
          if (!spend(1) || !add_into(result, key, monomial)) return std::nullopt;
      }
    }
    return result;
  }

  Outcome power(const Outcome& base, const Outcome& exponent) {
    const auto count = exponent ? constant_of(*exponent) : std::nullopt;
    if (!base || !count || *count < 0 || *count > 8) return std::nullopt;
    Outcome result = constant(1);
    for (int64_t i = 0; i < *count && result; ++i) result = product(*result, *base);
    return result;
  }

  Outcome polynomial_of_call(const SymExpr& call) {
    const Function function = function_of(call);
    if (function == Function::add || function == Function::mul) return sum_or_product(call, function);
    const std::vector<Outcome> arguments = polynomials_of(call.arguments);
    if (function == Function::identity) return arguments[0];
    if (function == Function::pow)
      if (Outcome result = power(arguments[0], arguments[1])) return result;
    if (function == Function::floor_div && arguments[0] && arguments[1])
      if (const auto divisor = constant_of(*arguments[1]))
        if (Outcome exact = exact_quotient(*arguments[0], *divisor)) return exact;
    return opaque(call, function, arguments);
  }

  Outcome polynomial_of(const SymExprPtr& expression) {
    if (!spend(1)) return std::nullopt;
    switch (expression->kind) {
      case SymExpr::Kind::integer: return constant(expression->integer);
      case SymExpr::Kind::call: return polynomial_of_call(*expression);
      default: return atom(expression);
    }
  }

  size_t steps_left_ = 1 << 13;
};

}  // namespace

SymExprPtr simplified(const SymExprPtr& expression) {
  if (expression->kind != SymExpr::Kind::call) return expression;
  const SymExprPtr canonical = Canonical().of(*expression);
  return canonical ? canonical : expression;
}

}  // namespace intaglio::sym

namespace intaglio {

std::string to_string(const SymExpr& expression) {
  const SymExprPtr canonical = expression.kind == SymExpr::Kind::call ? sym::Canonical().of(expression) : nullptr;
  return sym::infix(canonical ? *canonical : expression);
}

}  // namespace intaglio
