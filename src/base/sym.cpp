// Texts of size expressions, and arithmetic on sizes.
#include <intaglio/sym.h>

#include <charconv>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/sym_functions.h"

namespace intaglio {

namespace sym {
namespace {

// How tightly an infix form binds; a looser operand gets parentheses.
enum Binding { comparison, bit_or, bit_and, bit_shift, sum, term, unary, power, primary };

struct InfixRow {
  Function function;
  std::string_view text;
  Binding binding;
};
constexpr InfixRow infix_rows[] = {
    {Function::add, " + ", sum},           {Function::mul, "*", term},
    {Function::floor_div, "//", term},     {Function::mod, " % ", term},
    {Function::true_div, "/", term},       {Function::pow, "**", power},
    {Function::ge, " >= ", comparison},    {Function::le, " <= ", comparison},
    {Function::gt, " > ", comparison},     {Function::lt, " < ", comparison},
    {Function::eq, " == ", comparison},    {Function::ne, " != ", comparison},
    {Function::logical_or, " | ", bit_or}, {Function::logical_and, " & ", bit_and},
    {Function::lshift, " << ", bit_shift}, {Function::rshift, " >> ", bit_shift},
};

std::string real_text(double value) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  std::string text(buffer, end);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

struct Text {
  std::string text;
  Binding binding = primary;
};

Text infix_text(const SymExpr& expression);

std::string operand(const SymExpr& expression, bool parenthesised_at_equal, Binding outer) {
  Text inner = infix_text(expression);
  const bool loose = inner.binding < outer || (parenthesised_at_equal && inner.binding == outer);
  return loose ? "(" + inner.text + ")" : inner.text;
}

// `-3` and `-2*s0`, whose sign can become a minus between terms; the sign of `-3 % s0` cannot.
bool is_negative_term(const SymExpr& expression) {
  if (expression.kind == SymExpr::Kind::integer) return expression.integer < 0;
  return expression.kind == SymExpr::Kind::call && function_of(expression) == Function::mul &&
         expression.arguments[0]->kind == SymExpr::Kind::integer && expression.arguments[0]->integer < 0;
}

Text infix_call(const SymExpr& call) {
  const Function function = function_of(call);
  for (const InfixRow& row : infix_rows) {
    if (row.function != function) continue;
    std::string text;
    for (size_t i = 0; i < call.arguments.size(); ++i) {
      // `a*(b//c)` and `a - (b + c)` keep their parentheses; sums and products of more than two parts need none.
      std::string part = operand(*call.arguments[i], i > 0 || row.binding == power || row.binding == comparison, row.binding);
      if (i == 0) text = part;
      else if (function == Function::add && is_negative_term(*call.arguments[i])) text += " - " + part.substr(1);
      else text += std::string(row.text) + part;
    }
    if (function == Function::mul && text.starts_with("-1*")) text = "-" + text.substr(3);
    return {text, call.arguments.size() == 1 ? infix_text(*call.arguments[0]).binding : row.binding};
  }
  if (function == Function::logical_not) return {"~" + operand(*call.arguments[0], false, unary), unary};
  std::string text = call.name + "(";
  for (size_t i = 0; i < call.arguments.size(); ++i) text += (i ? ", " : "") + infix_text(*call.arguments[i]).text;
  return {text + ")", primary};
}

Text infix_text(const SymExpr& expression) {
  switch (expression.kind) {
    case SymExpr::Kind::integer: return {fmt::format("{}", expression.integer), expression.integer < 0 ? unary : primary};
    case SymExpr::Kind::real: return {real_text(expression.real), expression.real < 0 ? unary : primary};
    case SymExpr::Kind::symbol: return {expression.name, primary};
    case SymExpr::Kind::call: break;
  }
  return infix_call(expression);
}

}  // namespace

std::string infix(const SymExpr& expression) { return infix_text(expression).text; }

}  // namespace sym

std::string to_srepr(const SymExpr& expression) {
  switch (expression.kind) {
    case SymExpr::Kind::integer: return fmt::format("Integer({})", expression.integer);
    case SymExpr::Kind::real: return fmt::format("Float('{}', precision=53)", sym::real_text(expression.real));
    case SymExpr::Kind::symbol:
      return fmt::format("Symbol('{}', {})", expression.name, expression.assumptions.empty() ? "integer=True" : expression.assumptions);
    case SymExpr::Kind::call: break;
  }
  std::string text = expression.name + "(";
  for (size_t i = 0; i < expression.arguments.size(); ++i) text += (i ? ", " : "") + to_srepr(*expression.arguments[i]);
  return text + ")";
}

// ---- SymInt

int64_t SymInt::value() const {
  if (!is_static()) throw SymbolicSize("the size " + to_string(*this) + " is symbolic where a number is needed");
  return value_;
}

std::optional<int64_t> SymInt::hint() const {
  if (is_static() || has_hint_) return value_;
  return std::nullopt;
}

bool operator==(const SymInt& a, const SymInt& b) {
  if (a.is_static() && b.is_static()) return a.value_ == b.value_;
  if (a.is_static() != b.is_static()) return false;
  return a.expression_ == b.expression_ || to_string(*a.expression_) == to_string(*b.expression_);
}

std::string to_string(const SymInt& size) { return size.is_static() ? fmt::format("{}", size.value()) : to_string(*size.expression()); }

namespace {

SymExprPtr expression_of(const SymInt& size) { return size.is_static() ? sym::make_integer(size.value()) : size.expression(); }

SymInt combined(std::string_view function, const SymInt& a, const SymInt& b) {
  const SymExprPtr written = sym::make_call(function, {expression_of(a), expression_of(b)});
  const SymExprPtr result = sym::simplified(written);
  if (result->kind == SymExpr::Kind::integer) return result->integer;
  if (a.is_static() && b.is_static()) throw_bad_input(fmt::format("the size {} leaves 64 bits or divides by zero", sym::infix(*written)));
  if (!sym::is_small(*result))
    throw_unsupported(
        fmt::format("a size computed from others is nested deeper than {} levels or has more than {} parts; "
                    "export the model with fewer dynamic dimensions",
                    sym::max_depth, sym::max_parts));
  std::optional<int64_t> hint;
  if (a.hint() && b.hint()) hint = evaluate(*sym::make_call(function, {sym::make_integer(*a.hint()), sym::make_integer(*b.hint())}), {});
  return SymInt(result, to_srepr(*result), hint);
}

}  // namespace

SymInt operator+(const SymInt& a, const SymInt& b) { return combined("Add", a, b); }
SymInt operator*(const SymInt& a, const SymInt& b) { return combined("Mul", a, b); }
SymInt operator-(const SymInt& a, const SymInt& b) { return a + SymInt(-1) * b; }
SymInt floor_div(const SymInt& a, const SymInt& b) { return combined("FloorDiv", a, b); }

}  // namespace intaglio
