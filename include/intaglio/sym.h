// Sizes that may be symbolic.
//
// A static size is a plain integer and costs nothing more. A symbolic one carries an expression tree over
// symbols (`s77`, `u0`), the text it was read from (so that writing gives back the same bytes) and the value
// that the example input had (the hint).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/error.h>
#include <intaglio/list.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct SymExpr {
  enum class Kind { symbol, integer, real, call };
  Kind kind = Kind::integer;
  std::string name;  // the symbol's name, or the function's: Add, Mul, FloorDiv, Mod, Max, GreaterThan, ...
  int64_t integer = 0;
  std::vector<std::shared_ptr<const SymExpr>> arguments;
  std::string assumptions = {};  // of a symbol, as read: "positive=True, integer=True"; "" when the text gave none
  double real = 0;               // only inside float-valued expressions
};
using SymExprPtr = std::shared_ptr<const SymExpr>;

// Inclusive bounds of a symbol; an absent end is unbounded.
struct SymRange {
  std::optional<int64_t> min;
  std::optional<int64_t> max;
};
using SymBindings = std::map<std::string, int64_t, std::less<>>;
using SymRanges = std::map<std::string, SymRange, std::less<>>;

// Reads sympy's srepr (`Add(Symbol('s77', positive=True, integer=True), Integer(1))`) or infix (`4*s77`) text.
// The grammar is closed: anything else is a bad-input error. Depth is limited to 64.
SymExprPtr parse_sym_expr(std::string_view text);

// Canonical infix text, for people and for comparison: `4*s77 + 1`.
std::string to_string(const SymExpr& expression);

// Sympy's constructor text, the form the archive stores: `Add(Symbol('s77', positive=True, integer=True), Integer(1))`.
std::string to_srepr(const SymExpr& expression);

// The value under `bindings`; nullopt if a symbol is missing, a division is by zero or the result overflows.
std::optional<int64_t> evaluate(const SymExpr& expression, const SymBindings& bindings);

// Bounds of the expression when every symbol stays in its range (interval arithmetic). `ranges` may also hold
// whole expressions in canonical infix text, as the archive does for derived dimensions.
SymRange bounds(const SymExpr& expression, const SymRanges& ranges);

// A bug error: a size is symbolic where a number is needed. Rules of operators make one of the model of it (src/ir/at_node.h).
class SymbolicSize : public Error {
 public:
  explicit SymbolicSize(const std::string& message) : Error(ErrorKind::bug, message) {}
};

class SymInt {
 public:
  SymInt(int64_t value = 0) : value_(value) {}  // NOLINT: implicit on purpose, static sizes are the common case
  SymInt(SymExprPtr expression, std::string text, std::optional<int64_t> hint)
      : value_(hint.value_or(0)), expression_(std::move(expression)), text_(std::move(text)), has_hint_(hint.has_value()) {}

  bool is_static() const { return expression_ == nullptr; }
  // The static value; SymbolicSize when symbolic.
  int64_t value() const;
  // The static value, or the hint; nullopt without either.
  std::optional<int64_t> hint() const;
  const SymExprPtr& expression() const { return expression_; }
  const std::string& text() const { return text_; }

  friend bool operator==(const SymInt& a, const SymInt& b);

 private:
  int64_t value_ = 0;
  SymExprPtr expression_;
  std::string text_;
  bool has_hint_ = false;
};

using SymSizes = List<SymInt>;

std::string to_string(const SymInt& size);

// Every symbolic size from arithmetic on sizes; static operands give static results.
SymInt operator+(const SymInt& a, const SymInt& b);
SymInt operator-(const SymInt& a, const SymInt& b);
SymInt operator*(const SymInt& a, const SymInt& b);
SymInt floor_div(const SymInt& a, const SymInt& b);

}  // namespace intaglio

#pragma GCC visibility pop
