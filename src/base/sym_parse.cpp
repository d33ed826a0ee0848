// Reading size expressions. Torch evaluates such texts as Python; here they go through a closed grammar:
//
//   comparison = or [("==" | "!=" | ">=" | "<=" | ">" | "<") or]
//   or = and {"|" and}        and = shift {"&" shift}       shift = sum {("<<" | ">>") sum}
//   sum = term {("+" | "-") term}                           term = unary {("*" | "//" | "/" | "%") unary}
//   unary = ("-" | "+" | "~") unary | power                 power = primary ["**" unary]
//   primary = number | symbol | "(" comparison ")" | function "(" comparison {"," comparison} ")"
//           | "Symbol(" string {"," name "=" name} ")" | "Integer(" ["-"] digits ")"
//           | "Rational(" int "," int ")" | "Float(" string {"," name "=" digits} ")"
#include <algorithm>
#include <charconv>
#include <span>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/sym_functions.h"

namespace intaglio {
namespace {

using sym::make_call;
using sym::make_integer;
using sym::max_depth;

constexpr size_t max_length = 1 << 16;

// Both names mean the same; the archive uses the second.
constexpr std::pair<std::string_view, std::string_view> aliases[] = {
    {"Eq", "Equality"}, {"Ne", "Unequality"},        {"Ge", "GreaterThan"},
    {"Le", "LessThan"}, {"Gt", "StrictGreaterThan"}, {"Lt", "StrictLessThan"},
};

struct Operator {
  std::string_view text;
  std::string_view function;
};
// Rows of one precedence, loosest first. Longer texts stand before their prefixes.
constexpr Operator comparisons[] = {{"==", "Equality"}, {"!=", "Unequality"},       {">=", "GreaterThan"},
                                    {"<=", "LessThan"}, {">", "StrictGreaterThan"}, {"<", "StrictLessThan"}};
constexpr Operator ors[] = {{"|", "Or"}};
constexpr Operator ands[] = {{"&", "And"}};
constexpr Operator shifts[] = {{"<<", "LShift"}, {">>", "RShift"}};
constexpr Operator sums[] = {{"+", "Add"}, {"-", "-"}};
constexpr Operator terms[] = {{"//", "FloorDiv"}, {"*", "Mul"}, {"/", "IntTrueDiv"}, {"%", "PythonMod"}};
constexpr std::span<const Operator> levels[] = {comparisons, ors, ands, shifts, sums, terms};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    if (text.size() > max_length) fail(fmt::format("longer than {} bytes", max_length));
  }

  SymExprPtr parse() {
    Part result = level(0);
    if (!rest().empty()) fail("text after its end");
    if (!sym::is_small(*result.expression)) fail(fmt::format("more than {} parts", sym::max_parts));
    return std::move(result.expression);
  }

 private:
  // An expression and the height of its tree: a chain such as a//b//c grows without recursion here.
  struct Part {
    SymExprPtr expression;
    int height = 1;
  };

  [[noreturn]] void fail(const std::string& cause) const {
    throw_bad_input(fmt::format("size expression '{}': {} at character {}; expected sympy's text of an integer expression",
                                escaped(text_, 80), cause, position_));
  }

  std::string_view rest() {
    while (position_ < text_.size() && text_[position_] == ' ') ++position_;
    return text_.substr(position_);
  }
  bool take(std::string_view token) {
    if (!rest().starts_with(token)) return false;
    position_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) fail(fmt::format("no '{}'", token));
  }
  std::string_view word() {
    const std::string_view left = rest();
    size_t length = 0;
    while (length < left.size() && (is_letter(left[length]) || (length > 0 && is_digit(left[length])))) ++length;
    position_ += length;
    return left.substr(0, length);
  }

  Part call(std::string_view name, std::vector<Part> parts) {
    int height = 0;
    std::vector<SymExprPtr> arguments;
    for (Part& part : parts) {
      height = std::max(height, part.height);
      arguments.push_back(std::move(part.expression));
    }
    if (++height > max_depth) fail(fmt::format("nested deeper than {} levels", max_depth));
    return {make_call(name, std::move(arguments)), height};
  }
  Part negated(Part part) {
    if (part.expression->kind == SymExpr::Kind::integer && part.expression->integer != INT64_MIN)
      return {make_integer(-part.expression->integer), 1};
    return call("Mul", {{make_integer(-1), 1}, std::move(part)});
  }

  Part level(size_t index) {
    if (index == std::size(levels)) return unary();
    Part left = level(index + 1);
    for (;;) {
      const auto found = std::ranges::find_if(levels[index], [&](const Operator& row) {
        // `**` is no product.
        return rest().starts_with(row.text) && !(row.text == "*" && rest().starts_with("**"));
      });
      if (found == levels[index].end()) return left;
      take(found->text);
      left = joined(found->function, std::move(left), level(index + 1));
      if (index == 0) return left;  // comparisons do not chain
    }
  }
  // `a + b + c` is one call of three arguments.
  Part joined(std::string_view function, Part left, Part right) {
    if (function == "-") {
      function = "Add";
      right = negated(std::move(right));
    }
    const bool flattens = function == "Add" || function == "Mul" || function == "And" || function == "Or";
    if (flattens && left.expression->kind == SymExpr::Kind::call && left.expression->name == function && left.expression.use_count() == 1) {
      std::const_pointer_cast<SymExpr>(left.expression)->arguments.push_back(std::move(right.expression));
      left.height = std::max(left.height, right.height + 1);
      if (left.height > max_depth) fail(fmt::format("nested deeper than {} levels", max_depth));
      return left;
    }
    return call(function, {std::move(left), std::move(right)});
  }

  Part unary() {
    if (++recursion_ > max_depth) fail(fmt::format("nested deeper than {} levels", max_depth));
    Part result;
    if (take("-")) result = negated(unary());
    else if (take("+")) result = unary();
    else if (take("~")) result = call("Not", {unary()});
    else {
      result = primary();
      if (take("**")) result = call("Pow", {std::move(result), unary()});
    }
    --recursion_;
    return result;
  }

  Part primary() {
    if (take("(")) {
      Part inner = level(0);
      expect(")");
      return inner;
    }
    const std::string_view left = rest();
    if (left.empty()) fail("ends early");
    if (is_digit(left[0])) return {number(), 1};
    const std::string_view name = word();
    if (name.empty()) fail("unexpected character");
    if (take("(")) return constructed(name);
    if (name == "True" || name == "true") return {make_integer(1), 1};
    if (name == "False" || name == "false") return {make_integer(0), 1};
    return {symbol(name, ""), 1};
  }

  Part constructed(std::string_view name) {
    if (name == "Symbol") return {symbol_call(), 1};
    if (name == "Float") return {float_call(), 1};
    if (name == "Integer") {
      const int64_t value = integer();
      expect(")");
      return {make_integer(value), 1};
    }
    if (name == "Rational") {
      const int64_t numerator = integer();
      expect(",");
      const int64_t denominator = integer();
      expect(")");
      return call("IntTrueDiv", {{make_integer(numerator), 1}, {make_integer(denominator), 1}});
    }
    const auto alias = std::ranges::find(aliases, name, &std::pair<std::string_view, std::string_view>::first);
    if (alias != std::end(aliases)) name = alias->second;
    const sym::FunctionRow* row = sym::find_function(name);
    if (row == nullptr) fail(fmt::format("unknown function '{}'", escaped(name, 40)));
    std::vector<Part> arguments;
    if (!take(")")) {
      do arguments.push_back(level(0));
      while (take(","));
      expect(")");
    }
    if (arguments.size() < row->least || arguments.size() > row->most)
      fail(fmt::format("{} does not take {} arguments", name, arguments.size()));
    return call(name, std::move(arguments));
  }

  int64_t integer() {
    const bool negative = take("-");
    std::string digits = negative ? "-" : "";
    const std::string_view left = rest();
    size_t length = 0;
    while (length < left.size() && is_digit(left[length])) ++length;
    digits += left.substr(0, length);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || length == 0) fail("no 64-bit integer");
    position_ += length;
    return value;
  }

  SymExprPtr number() {
    const std::string_view left = rest();
    size_t length = 0;
    while (length < left.size() && is_digit(left[length])) ++length;
    const bool real = length < left.size() && (left[length] == '.' || left[length] == 'e' || left[length] == 'E');
    if (!real) return make_integer(integer());
    auto result = std::make_shared<SymExpr>();
    result->kind = SymExpr::Kind::real;
    const auto [end, error] = std::from_chars(left.data(), left.data() + left.size(), result->real);
    if (error != std::errc()) fail("no number");
    position_ += static_cast<size_t>(end - left.data());
    return result;
  }

  std::string_view quoted() {
    const std::string_view left = rest();
    if (left.empty() || left[0] != '\'') fail("no quoted text");
    const size_t end = left.find('\'', 1);
    if (end == std::string_view::npos) fail("no closing quote");
    position_ += end + 1;
    return left.substr(1, end - 1);
  }

  SymExprPtr symbol(std::string_view name, std::string assumptions) {
    const bool plain = !name.empty() && name.size() <= 64 && is_letter(name[0]) &&
                       std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c); });
    if (!plain || name.find("__") != std::string_view::npos || sym::find_function(name) != nullptr || name == "oo" || name == "int_oo" ||
        name == "zoo" || name == "nan")
      fail(fmt::format("'{}' is not the name of a symbol", escaped(name, 40)));
    auto result = std::make_shared<SymExpr>();
    result->kind = SymExpr::Kind::symbol;
    result->name = name;
    result->assumptions = std::move(assumptions);
    return result;
  }

  SymExprPtr symbol_call() {
    const std::string_view name = quoted();
    std::string assumptions;
    while (take(",")) {
      const std::string_view key = word();
      expect("=");
      const std::string_view value = word();
      if (key.empty() || key.size() > 32 || (value != "True" && value != "False" && value != "None"))
        fail("an assumption that is not name=True or name=False");
      assumptions += fmt::format("{}{}={}", assumptions.empty() ? "" : ", ", key, value);
    }
    expect(")");
    return symbol(name, std::move(assumptions));
  }

  SymExprPtr float_call() {
    const std::string_view digits = quoted();
    auto result = std::make_shared<SymExpr>();
    result->kind = SymExpr::Kind::real;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), result->real);
    if (error != std::errc() || end != digits.data() + digits.size()) fail("Float without a number");
    while (take(",")) {
      if (word() != "precision") fail("Float with an unknown field");
      expect("=");
      integer();
    }
    expect(")");
    return result;
  }

  std::string_view text_;
  size_t position_ = 0;
  int recursion_ = 0;
};

}  // namespace

SymExprPtr parse_sym_expr(std::string_view text) { return Parser(text).parse(); }

}  // namespace intaglio
