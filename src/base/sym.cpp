#include <intaglio/sym.h>

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

std::optional<int64_t> floor_divide(int64_t a, int64_t b) {
  if (b == 0 || (a == INT64_MIN && b == -1)) return std::nullopt;
  const int64_t quotient = a / b;
  return quotient - ((a % b != 0) && ((a < 0) != (b < 0)) ? 1 : 0);
}

SymExprPtr as_expression(const SymInt& size) {
  if (!size.is_static()) return size.expression();
  return std::make_shared<SymExpr>(SymExpr{SymExpr::Kind::integer, {}, size.value(), {}});
}

template <typename Fold> SymInt combine(const SymInt& a, const SymInt& b, const char* function, Fold fold) {
  std::optional<int64_t> hint;
  if (a.hint() && b.hint()) hint = fold(*a.hint(), *b.hint());
  if (a.is_static() && b.is_static()) {
    if (!hint) throw_bad_input(fmt::format("{}({}, {}) of sizes overflows", function, a.value(), b.value()));
    return *hint;
  }
  auto expression = std::make_shared<SymExpr>();
  expression->kind = SymExpr::Kind::call;
  expression->name = function;
  expression->arguments = {as_expression(a), as_expression(b)};
  std::string text = to_string(*expression);
  return SymInt(std::move(expression), std::move(text), hint);
}

bool equal(const SymExpr& a, const SymExpr& b) {
  return a.kind == b.kind && a.name == b.name && a.integer == b.integer &&
         std::equal(a.arguments.begin(), a.arguments.end(), b.arguments.begin(), b.arguments.end(),
                    [](const SymExprPtr& x, const SymExprPtr& y) { return equal(*x, *y); });
}

// Infix forms of the functions people write infix.
const char* infix(const std::string& function) {
  if (function == "Add") return " + ";
  if (function == "Mul") return "*";
  if (function == "FloorDiv") return " // ";
  return nullptr;
}

}  // namespace

std::string to_string(const SymExpr& expression) {
  if (expression.kind == SymExpr::Kind::symbol) return expression.name;
  if (expression.kind == SymExpr::Kind::integer) return fmt::format("{}", expression.integer);
  const char* separator = infix(expression.name);
  std::string text;
  for (const SymExprPtr& argument : expression.arguments) {
    if (!text.empty()) text += separator != nullptr ? separator : ", ";
    const bool nested = separator != nullptr && argument->kind == SymExpr::Kind::call && expression.name != "Add";
    text += nested ? "(" + to_string(*argument) + ")" : to_string(*argument);
  }
  return separator != nullptr ? text : expression.name + "(" + text + ")";
}

int64_t SymInt::value() const {
  if (!is_static()) throw_bug("the static value of the symbolic size " + to_string(*expression_));
  return value_;
}

std::optional<int64_t> SymInt::hint() const {
  if (is_static() || has_hint_) return value_;
  return std::nullopt;
}

bool operator==(const SymInt& a, const SymInt& b) {
  if (a.is_static() != b.is_static()) return false;
  return a.is_static() ? a.value_ == b.value_ : equal(*a.expression_, *b.expression_);
}

std::string to_string(const SymInt& size) {
  return size.is_static() ? fmt::format("{}", size.value()) : to_string(*size.expression());
}

SymInt operator+(const SymInt& a, const SymInt& b) {
  if (a == SymInt(0)) return b;
  if (b == SymInt(0)) return a;
  return combine(a, b, "Add", [](int64_t x, int64_t y) -> std::optional<int64_t> {
    int64_t r;
    return __builtin_add_overflow(x, y, &r) ? std::nullopt : std::optional(r);
  });
}
SymInt operator-(const SymInt& a, const SymInt& b) { return b.is_static() ? a + SymInt(-b.value()) : a + SymInt(-1) * b; }
SymInt operator*(const SymInt& a, const SymInt& b) {
  if (a == SymInt(1) || b == SymInt(0)) return b;
  if (b == SymInt(1) || a == SymInt(0)) return a;
  return combine(a, b, "Mul", [](int64_t x, int64_t y) -> std::optional<int64_t> {
    int64_t r;
    return __builtin_mul_overflow(x, y, &r) ? std::nullopt : std::optional(r);
  });
}
SymInt floor_div(const SymInt& a, const SymInt& b) {
  if (b == SymInt(1)) return a;
  return combine(a, b, "FloorDiv", floor_divide);
}

}  // namespace intaglio
