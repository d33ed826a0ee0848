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

Polynomial atom(SymExprPtr expression) {
  const std::string text = infix(*expression);
  Monomial monomial{1, {}};
  monomial.factors.emplace(text, std::pair{std::move(expression), int64_t{1}});
  Polynomial result;
  result.emplace(text, std::move(monomial));
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

Outcome product(const Polynomial& a, const Polynomial& b) {
  Polynomial result;
  for (const auto& [left_key, left] : a) {
    for (const auto& [right_key, right] : b) {
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

Outcome polynomial_of(const SymExprPtr& expression);

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

// A call that is no polynomial: its arguments made canonical, folded when they are all numbers.
Outcome opaque(const SymExpr& call, Function function) {
  std::vector<SymExprPtr> arguments;
  for (const SymExprPtr& argument : call.arguments) arguments.push_back(simplified(argument));
  if (function == Function::max || function == Function::min) {
    SymExprPtr result = extremum(call.name, arguments, function == Function::max);
    if (result->kind == SymExpr::Kind::integer) return constant(result->integer);
    return atom(std::move(result));
  }
  SymExprPtr result = make_call(call.name, std::move(arguments));
  const bool numbers = std::ranges::all_of(result->arguments, [](const SymExprPtr& a) { return a->kind == SymExpr::Kind::integer; });
  if (numbers && function != Function::true_div)
    if (const auto value = evaluate(*result, {})) return constant(*value);
  return atom(std::move(result));
}

Outcome polynomial_of_call(const SymExpr& call) {
  const Function function = function_of(call);
  switch (function) {
    case Function::add:
    case Function::mul: {
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
            if (!add_into(result, key, monomial)) return std::nullopt;
        }
      }
      return result;
    }
    case Function::pow: {
      const Outcome base = polynomial_of(call.arguments[0]);
      const Outcome exponent = polynomial_of(call.arguments[1]);
      const auto count = exponent ? constant_of(*exponent) : std::nullopt;
      if (!base || !count || *count < 0 || *count > 8) return opaque(call, function);
      Outcome result = constant(1);
      for (int64_t i = 0; i < *count && result; ++i) result = product(*result, *base);
      return result;
    }
    case Function::floor_div: {
      const Outcome dividend = polynomial_of(call.arguments[0]);
      const Outcome divisor = polynomial_of(call.arguments[1]);
      const auto value = divisor ? constant_of(*divisor) : std::nullopt;
      if (dividend && value)
        if (Outcome exact = exact_quotient(*dividend, *value)) return exact;
      return opaque(call, function);
    }
    case Function::identity: return polynomial_of(call.arguments[0]);
    default: return opaque(call, function);
  }
}

Outcome polynomial_of(const SymExprPtr& expression) {
  switch (expression->kind) {
    case SymExpr::Kind::integer: return constant(expression->integer);
    case SymExpr::Kind::call: return polynomial_of_call(*expression);
    default: return atom(expression);
  }
}

}  // namespace

SymExprPtr simplified(const SymExprPtr& expression) {
  const Outcome polynomial = polynomial_of(expression);
  return polynomial ? expression_of(*polynomial) : expression;
}

}  // namespace intaglio::sym
