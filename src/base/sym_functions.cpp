#include "base/sym_functions.h"

#include <algorithm>
#include <array>
#include <limits>

#include <intaglio/error.h>

namespace intaglio::sym {
namespace {

constexpr size_t many = std::numeric_limits<size_t>::max();

// Sorted by name. Names that mean the same (`Ge`, `GreaterThan`) share a function.
constexpr auto rows = std::to_array<FunctionRow>({
    {"Abs", Function::abs, 1, 1},
    {"Add", Function::add, 1, many},
    {"And", Function::logical_and, 1, many},
    {"CeilDiv", Function::ceil_div, 2, 2},
    {"CeilToInt", Function::ceil_to_int, 1, 1},
    {"CleanDiv", Function::floor_div, 2, 2},
    {"Eq", Function::eq, 2, 2},
    {"Equality", Function::eq, 2, 2},
    {"FloatPow", Function::float_pow, 2, 2},
    {"FloatTrueDiv", Function::true_div, 2, 2},
    {"FloorDiv", Function::floor_div, 2, 2},
    {"FloorToInt", Function::floor_to_int, 1, 1},
    {"Ge", Function::ge, 2, 2},
    {"GreaterThan", Function::ge, 2, 2},
    {"Gt", Function::gt, 2, 2},
    {"Identity", Function::identity, 1, 1},
    {"IntTrueDiv", Function::true_div, 2, 2},
    {"IsNonOverlappingAndDenseIndicator", Function::dense_indicator, 1, many},
    {"LShift", Function::lshift, 2, 2},
    {"Le", Function::le, 2, 2},
    {"LessThan", Function::le, 2, 2},
    {"Lt", Function::lt, 2, 2},
    {"Max", Function::max, 1, many},
    {"Min", Function::min, 1, many},
    {"Mod", Function::mod, 2, 2},
    {"ModularIndexing", Function::modular_indexing, 3, 3},
    {"Mul", Function::mul, 1, many},
    {"Ne", Function::ne, 2, 2},
    {"Not", Function::logical_not, 1, 1},
    {"Or", Function::logical_or, 1, many},
    {"Pow", Function::pow, 2, 2},
    {"PowByNatural", Function::pow, 2, 2},
    {"PythonMod", Function::mod, 2, 2},
    {"RShift", Function::rshift, 2, 2},
    {"RoundDecimal", Function::round_decimal, 2, 2},
    {"RoundToInt", Function::round_to_int, 1, 1},
    {"StrictGreaterThan", Function::gt, 2, 2},
    {"StrictLessThan", Function::lt, 2, 2},
    {"ToFloat", Function::to_float, 1, 1},
    {"TruncToFloat", Function::trunc_to_float, 1, 1},
    {"TruncToInt", Function::trunc_to_int, 1, 1},
    {"Unequality", Function::ne, 2, 2},
    {"Where", Function::where, 3, 3},
    {"ceiling", Function::ceil_to_int, 1, 1},
    {"floor", Function::floor_to_int, 1, 1},
});
static_assert(std::ranges::is_sorted(rows, {}, &FunctionRow::name));

}  // namespace

const FunctionRow* find_function(std::string_view name) {
  const auto row = std::ranges::lower_bound(rows, name, {}, &FunctionRow::name);
  return row != rows.end() && row->name == name ? &*row : nullptr;
}

Function function_of(const SymExpr& call) {
  const FunctionRow* row = find_function(call.name);
  if (row == nullptr) throw_bug("size expression calls '" + escaped(call.name) + "', which is not in the table of functions");
  return row->function;
}

SymExprPtr make_integer(int64_t value) {
  auto result = std::make_shared<SymExpr>();
  result->kind = SymExpr::Kind::integer;
  result->integer = value;
  return result;
}

SymExprPtr make_call(std::string_view name, std::vector<SymExprPtr> arguments) {
  auto result = std::make_shared<SymExpr>();
  result->kind = SymExpr::Kind::call;
  result->name = name;
  result->arguments = std::move(arguments);
  return result;
}

namespace {

// Takes the parts of the expression off what is left.
bool fits(const SymExpr& expression, int depth, size_t& left) {
  if (left == 0 || depth > max_depth) return false;
  --left;
  return std::ranges::all_of(expression.arguments, [&](const SymExprPtr& argument) { return fits(*argument, depth + 1, left); });
}

}  // namespace

bool is_small(const SymExpr& expression) {
  size_t left = max_parts;
  return fits(expression, 1, left);
}

int64_t floor_divide(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

}  // namespace intaglio::sym
