// New tensors from sizes and numbers.
#include <cmath>

#include "interpreter/kernel_table.h"
#include "interpreter/promotion.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

Tensor filled(const Call& call, DType dtype, Sizes sizes, const Number& value) {
  const Tensor out = call.empty(dtype, std::move(sizes));
  copy_into(out, scalar_tensor(value, dtype), call.threads());
  return out;
}

// What the op fills with.
enum : int { fill_zero, fill_one, fill_given };
Number fill_value(Call& call) {
  if (call.variant() == fill_given) return call.number("fill_value");
  return Number(int64_t{call.variant() == fill_one});
}

DType default_type(Call& call, const Number& value) {
  if (const auto dtype = call.optional_dtype("dtype")) return *dtype;
  return call.variant() == fill_given ? number_type(value) : DType::float32;
}

void full(Call& call) {
  const Number value = fill_value(call);
  call.set(filled(call, default_type(call, value), call.integers("size"), value));
}
void full_like(Call& call) {
  const Tensor& self = call.tensor("self");
  call.set(filled(call, call.optional_dtype("dtype").value_or(self.dtype()), self.sizes(), fill_value(call)));
}
void new_full(Call& call) {
  const Tensor& self = call.tensor("self");
  call.set(filled(call, call.optional_dtype("dtype").value_or(self.dtype()), call.integers("size"), fill_value(call)));
}
void fill(Call& call) {
  const Tensor& self = call.tensor("self");
  call.set(filled(call, self.dtype(), self.sizes(), call.number("value")));
}
void zero(Call& call) {
  const Tensor& self = call.tensor("self");
  call.set(filled(call, self.dtype(), self.sizes(), Number(int64_t{0})));
}
void scalar(Call& call) {
  const Number value = call.number(call.has("s") ? "s" : "t");
  const Tensor out = call.empty(call.optional_dtype("dtype").value_or(DType::float32), {});
  copy_into(out, scalar_tensor(value, out.dtype()));
  call.set(out);
}

constexpr int64_t most_elements = int64_t{1} << 40;

void arange(Call& call) {
  const Number start = call.has("start") ? call.number("start") : Number(int64_t{0});
  const Number end = call.number("end"), step = call.has("step") ? call.number("step") : Number(int64_t{1});
  const bool integers =
      start.kind() != Number::Kind::floating && end.kind() != Number::Kind::floating && step.kind() != Number::Kind::floating;
  const DType dtype = call.optional_dtype("dtype").value_or(integers ? DType::int64 : DType::float32);
  call.require(step.as_double() != 0, "the step is 0");
  const double count = std::ceil((end.as_double() - start.as_double()) / step.as_double());
  call.require(count >= 0 && count < static_cast<double>(most_elements), "the range is empty the wrong way, or too long");
  const Tensor out = call.empty(dtype, {static_cast<int64_t>(count)});
  std::byte* to = writable_bytes(out);
  for (int64_t i = 0; i < out.numel(); ++i) {
    if (integers) {
      const int64_t value = start.as_int() + i * step.as_int();
      store_block<int64_t>(dtype, to, i, 1, 1, &value);
    } else {
      const double value = start.as_double() + static_cast<double>(i) * step.as_double();
      store_block<double>(dtype, to, i, 1, 1, &value);
    }
  }
  call.set(out);
}

void linspace(Call& call) {
  const double start = call.floating("start"), end = call.floating("end");
  const int64_t steps = call.integer("steps");
  call.require(steps >= 0 && steps < most_elements, "the number of steps is out of range");
  const Tensor out = call.empty(call.optional_dtype("dtype").value_or(DType::float32), {steps});
  const float step = steps > 1 ? (static_cast<float>(end) - static_cast<float>(start)) / static_cast<float>(steps - 1) : 0;
  for (int64_t i = 0; i < steps; ++i) {
    // From both ends, so that the last value is the end.
    const float value = i < steps / 2 ? static_cast<float>(start) + step * static_cast<float>(i)
                                      : static_cast<float>(end) - step * static_cast<float>(steps - i - 1);
    store_block<float>(out.dtype(), writable_bytes(out), i, 1, 1, &value);
  }
  call.set(out);
}

void eye(Call& call) {
  const int64_t rows = call.integer("n"), columns = call.has("m") ? call.integer("m") : rows;
  call.require(rows >= 0 && columns >= 0, "the sizes must not be negative");
  const Tensor out = filled(call, call.optional_dtype("dtype").value_or(DType::float32), {rows, columns}, Number(int64_t{0}));
  const Tensor one = scalar_tensor(Number(int64_t{1}), out.dtype());
  const int64_t length = std::min(rows, columns);
  if (length > 0) copy_into(out.view_as({length}, {columns + 1}, 0), one);
  call.set(out);
}

// Zero above (tril) or below (triu) a diagonal.
enum : int { kind_lower, kind_upper };
void triangle(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.rank() >= 2, "needs at least two dimensions");
  const int64_t rows = self.size(-2), columns = self.size(-1),
                diagonal = std::clamp<int64_t>(call.integer("diagonal"), -rows - 1, columns + 1);
  const Tensor out = own_copy(call, self);
  const size_t width = item_size(self.dtype());
  std::byte* to = writable_bytes(out);
  for (int64_t r = 0; rows * columns > 0 && r < out.numel() / columns; ++r) {
    const int64_t border = std::clamp<int64_t>(r % rows + diagonal + (call.variant() == kind_lower ? 1 : 0), 0, columns);
    std::byte* row = to + static_cast<size_t>(r * columns) * width;
    if (call.variant() == kind_lower)
      std::fill(row + static_cast<size_t>(border) * width, row + static_cast<size_t>(columns) * width, std::byte{0});
    else std::fill(row, row + static_cast<size_t>(border) * width, std::byte{0});
  }
  call.set(out);
}

}  // namespace

std::span<const Kernel> creation_kernels() {
  static const std::vector<Kernel> table = kernels_of({
      {full, {"aten.full.default"}, fill_given},
      {full, {"aten.zeros.default", "aten.empty.memory_format", "dim_order_ops._empty_dim_order.default"}, fill_zero},
      {full, {"aten.ones.default"}, fill_one},
      {full_like, {"aten.full_like.default"}, fill_given},
      {full_like, {"aten.zeros_like.default", "aten.empty_like.default"}, fill_zero},
      {full_like, {"aten.ones_like.default"}, fill_one},
      {new_full, {"aten.new_full.default"}, fill_given},
      {new_full, {"aten.new_zeros.default", "aten.new_empty.default", "aten.new_empty_strided.default"}, fill_zero},
      {new_full, {"aten.new_ones.default"}, fill_one},
      {fill, {"aten.fill.Scalar", "aten.fill.Tensor"}},
      {zero, {"aten.zero.default"}},
      {scalar, {"aten.scalar_tensor.default"}},
      {arange, {"aten.arange.default", "aten.arange.start", "aten.arange.start_step"}},
      {linspace, {"aten.linspace.default"}},
      {eye, {"aten.eye.default", "aten.eye.m"}},
      {triangle, {"aten.tril.default"}, kind_lower},
      {triangle, {"aten.triu.default"}, kind_upper},
  });
  return table;
}

}  // namespace intaglio::interp
