// Sizes and numbers: sym_size, Python's operators, checks that the exporter left in the graph.
#include <cmath>

#include <fmt/format.h>

#include "interpreter/kernel_table.h"

namespace intaglio::interp {
namespace {

Number operand(Call& call, size_t position) {
  const RuntimeValue value = call.value(position);
  if (const auto* number = std::get_if<Number>(&value)) return *number;
  if (const auto* tensor = std::get_if<Tensor>(&value); tensor != nullptr && tensor->defined() && tensor->numel() == 1)
    return is_floating(tensor->dtype()) ? Number(tensor->item_as_double()) : Number(tensor->item_as_int());
  call.fail(fmt::format("argument {} is not a number", position));
}

enum class Python : int {
  add,
  sub,
  mul,
  truediv,
  floordiv,
  mod,
  pow,
  neg,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  bit_and,
  bit_or,
  left_shift,
  right_shift,
  logical_not,
  abs,
  minimum,
  maximum
};

bool is_float(const Number& n) { return n.kind() == Number::Kind::floating; }

Number compute(Call& call, Python op, const Number& a, const Number& b) {
  const bool floating = is_float(a) || is_float(b);
  const double x = a.as_double(), y = b.as_double();
  const int64_t i = a.as_int(), j = b.as_int();
  int64_t result = 0;
  const auto checked = [&](bool overflow) {
    if (overflow) call.fail("integer overflow");
    return Number(result);
  };
  switch (op) {
    case Python::add: return floating ? Number(x + y) : checked(__builtin_add_overflow(i, j, &result));
    case Python::sub: return floating ? Number(x - y) : checked(__builtin_sub_overflow(i, j, &result));
    case Python::mul: return floating ? Number(x * y) : checked(__builtin_mul_overflow(i, j, &result));
    case Python::neg: return floating ? Number(-x) : checked(__builtin_sub_overflow(int64_t{0}, i, &result));
    case Python::abs: return floating ? Number(std::fabs(x)) : i < 0 ? checked(__builtin_sub_overflow(int64_t{0}, i, &result)) : Number(i);
    case Python::truediv: call.require(y != 0, "division by zero"); return Number(x / y);
    case Python::floordiv:
    case Python::mod: {
      call.require(y != 0, "division by zero");
      if (floating) return Number(op == Python::mod ? x - y * std::floor(x / y) : std::floor(x / y));
      call.require(!(i == INT64_MIN && j == -1), "integer overflow");
      const int64_t q = i / j - (i % j != 0 && (i < 0) != (j < 0) ? 1 : 0);
      return Number(op == Python::mod ? i - q * j : q);
    }
    case Python::pow: {
      if (floating || j < 0) return Number(std::pow(x, y));
      const double value = std::pow(x, y);
      call.require(std::fabs(value) < 0x1p62, "integer overflow");
      return Number(static_cast<int64_t>(value));
    }
    case Python::eq: return Number(floating ? x == y : i == j);
    case Python::ne: return Number(floating ? x != y : i != j);
    case Python::lt: return Number(floating ? x < y : i < j);
    case Python::le: return Number(floating ? x <= y : i <= j);
    case Python::gt: return Number(floating ? x > y : i > j);
    case Python::ge: return Number(floating ? x >= y : i >= j);
    case Python::bit_and: return a.kind() == Number::Kind::boolean ? Number((i & j) != 0) : Number(i & j);
    case Python::bit_or: return a.kind() == Number::Kind::boolean ? Number((i | j) != 0) : Number(i | j);
    case Python::left_shift:
    case Python::right_shift: {
      call.require(!floating && j >= 0 && j < 63, "a shift by a number of places that is out of range");
      if (op == Python::right_shift) return Number(i >> j);
      return checked(__builtin_mul_overflow(i, int64_t{1} << j, &result));
    }
    case Python::logical_not: return Number(x == 0);
    case Python::minimum: return x <= y ? a : b;
    default: return x >= y ? a : b;
  }
}

void python_operator(Call& call) {
  const Number a = operand(call, 0);
  const Number b = call.argument_count() > 1 ? operand(call, 1) : Number(int64_t{0});
  call.set(compute(call, static_cast<Python>(call.variant()), a, b));
}

enum class Rounding : int { truncate, floor, ceil, nearest, to_float };
void rounded(Call& call) {
  const Number a = operand(call, 0);
  const double x = a.as_double();
  switch (static_cast<Rounding>(call.variant())) {
    case Rounding::to_float: return call.set(Number(x));
    case Rounding::floor: return call.set(is_float(a) ? Number(static_cast<int64_t>(std::floor(x))) : a);
    case Rounding::ceil: return call.set(is_float(a) ? Number(static_cast<int64_t>(std::ceil(x))) : a);
    case Rounding::nearest: return call.set(is_float(a) ? Number(static_cast<int64_t>(std::nearbyint(x))) : a);
    default: return call.set(Number(a.as_int()));
  }
}

void sym_size(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.rank() > 0, "a size of a 0-d tensor");
  call.set(Number(self.size(call.dimension("dim", self.rank()))));
}
void sym_numel(Call& call) { call.set(Number(call.tensor("self").numel())); }
void sym_stride(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.rank() > 0, "a stride of a 0-d tensor");
  call.set(Number(contiguous_strides(self.sizes())[static_cast<size_t>(call.dimension("dim", self.rank()))]));
}
void sym_offset(Call& call) { call.set(Number(call.tensor("self").storage_offset())); }

void item(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.numel() == 1, "the one value of a tensor of several");
  if (is_floating(self.dtype())) call.set(Number(self.item_as_double()));
  else if (self.dtype() == DType::boolean) call.set(Number(self.item_as_int() != 0));
  else call.set(Number(self.item_as_int()));
}

void sym_ite(Call& call) { call.set(call.value(operand(call, 0).as_int() != 0 ? 1 : 2)); }

void same(Call& call) { call.set(operand(call, 0)); }
void square_root(Call& call) { call.set(Number(std::sqrt(operand(call, 0).as_double()))); }

// Checks of the exporter that concern its own bookkeeping.
void ignored(Call&) {}
void assert_true(Call& call) {
  const RuntimeValue value = call.value(0);
  bool holds = true;
  if (const auto* number = std::get_if<Number>(&value)) holds = number->as_double() != 0;
  else if (const auto* tensor = std::get_if<Tensor>(&value); tensor != nullptr && tensor->defined() && tensor->numel() == 1)
    holds = tensor->item_as_double() != 0;
  call.require(holds, "a condition that the program asserts does not hold for this input");
}
void range_check(Call& call) {
  const Number size = call.number("size");
  const auto low = call.optional_number("min"), high = call.optional_number("max");
  const bool inside = (!low || size.as_double() >= low->as_double()) && (!high || size.as_double() <= high->as_double());
  call.require(inside, "a size that the program constrains is out of range for this input");
}

constexpr int code(Python op) { return static_cast<int>(op); }
constexpr int code(Rounding rounding) { return static_cast<int>(rounding); }

}  // namespace

std::span<const Kernel> scalar_kernels() {
  static const Kernel table[] = {
      {"_operator.add", python_operator, code(Python::add)},
      {"_operator.sub", python_operator, code(Python::sub)},
      {"_operator.mul", python_operator, code(Python::mul)},
      {"_operator.truediv", python_operator, code(Python::truediv)},
      {"_operator.floordiv", python_operator, code(Python::floordiv)},
      {"_operator.mod", python_operator, code(Python::mod)},
      {"_operator.pow", python_operator, code(Python::pow)},
      {"_operator.neg", python_operator, code(Python::neg)},
      {"_operator.eq", python_operator, code(Python::eq)},
      {"_operator.ne", python_operator, code(Python::ne)},
      {"_operator.lt", python_operator, code(Python::lt)},
      {"_operator.le", python_operator, code(Python::le)},
      {"_operator.gt", python_operator, code(Python::gt)},
      {"_operator.ge", python_operator, code(Python::ge)},
      {"_operator.and_", python_operator, code(Python::bit_and)},
      {"_operator.or_", python_operator, code(Python::bit_or)},
      {"_operator.lshift", python_operator, code(Python::left_shift)},
      {"_operator.rshift", python_operator, code(Python::right_shift)},
      {"_operator.pos", same},
      {"_operator.not_", python_operator, code(Python::logical_not)},
      {"_operator.abs", python_operator, code(Python::abs)},
      {"torch.sym_not", python_operator, code(Python::logical_not)},
      {"torch.sym_min", python_operator, code(Python::minimum)},
      {"torch.sym_max", python_operator, code(Python::maximum)},
      {"torch.sym_sqrt", square_root},
      {"torch._sym_sqrt", square_root},
      {"torch.sym_float", rounded, code(Rounding::to_float)},
      {"torch.sym_int", rounded, code(Rounding::truncate)},
      {"torch.sym_ite", sym_ite},
      {"math.trunc", rounded, code(Rounding::truncate)},
      {"math.floor", rounded, code(Rounding::floor)},
      {"math.ceil", rounded, code(Rounding::ceil)},
      {"_operator.trunc", rounded, code(Rounding::truncate)},
      {"builtins.round", rounded, code(Rounding::nearest)},
      {"_builtins.round", rounded, code(Rounding::nearest)},
      {"aten.sym_size.int", sym_size},
      {"aten.sym_numel.default", sym_numel},
      {"aten.sym_stride.int", sym_stride},
      {"aten.sym_storage_offset.default", sym_offset},
      {"aten.item.default", item},
      {"aten._local_scalar_dense.default", item},
      {"aten._assert_tensor_metadata.default", ignored},
      {"aten._assert_scalar.default", assert_true},
      {"aten._assert_async.msg", assert_true},
      {"aten._assert_async.default", assert_true},
      {"aten.sym_constrain_range.default", range_check},
      {"aten.sym_constrain_range_for_size.default", range_check},
  };
  return table;
}

}  // namespace intaglio::interp
