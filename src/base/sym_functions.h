// The closed set of functions a size expression may call. Private to `src/base/sym*.cpp`.
#pragma once

#include <intaglio/sym.h>

namespace intaglio::sym {

enum class Function : uint8_t {
  add,
  mul,
  max,
  min,
  pow,
  floor_div,
  ceil_div,
  mod,
  modular_indexing,
  where,
  lshift,
  rshift,
  true_div,
  float_pow,
  floor_to_int,
  ceil_to_int,
  trunc_to_int,
  trunc_to_float,
  round_to_int,
  round_decimal,
  to_float,
  identity,
  abs,
  dense_indicator,
  ge,
  le,
  gt,
  lt,
  eq,
  ne,
  logical_and,
  logical_or,
  logical_not,
};

struct FunctionRow {
  std::string_view name;  // as sympy's srepr and torch write it
  Function function;
  size_t least;  // number of arguments
  size_t most;
};

// Null for a name outside the set.
const FunctionRow* find_function(std::string_view name);
// Bug error for a name outside the set: trees are built from names of the set only.
Function function_of(const SymExpr& call);

SymExprPtr make_integer(int64_t value);
SymExprPtr make_call(std::string_view name, std::vector<SymExprPtr> arguments);

// A canonical equal expression: sums of products with collected terms, sorted; constants folded. The expression itself where that
// would take more steps, or have more parts, than a size is worth.
SymExprPtr simplified(const SymExprPtr& expression);

// Sizes are compared and bounded again and again: what an expression may cost is limited by its symbols, numbers and calls.
inline constexpr int max_depth = 64;
inline constexpr size_t max_parts = 2048;
bool is_small(const SymExpr& expression);

// Infix text of the expression as it is, without simplification.
std::string infix(const SymExpr& expression);

int64_t floor_divide(int64_t a, int64_t b);  // b is not 0, and not -1 with a the smallest integer

}  // namespace intaglio::sym
