// Reductions over dimensions. The reduced dimensions are moved last and each result reads one row of them.
#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/threads.h"
#include "interpreter/fallbacks.h"
#include "interpreter/instruction_set.h"
#include "interpreter/kernel_table.h"
#include "interpreter/row_math.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

// Which dimensions are reduced, and the sizes of the result.
struct Shape {
  std::vector<bool> reduced;
  Sizes kept;    // without the reduced dimensions
  Sizes result;  // with them as 1 when keepdim
  int64_t length = 1;
};

Shape read_shape(Call& call, const Tensor& self, std::string_view dim_name = "dim") {
  Shape shape;
  const size_t rank = self.sizes().size();
  const bool all = !call.has(dim_name) || call.integers(dim_name).empty();
  shape.reduced.assign(rank, all);
  if (!all)
    for (const int64_t dim : call.integers(dim_name))
      if (const int64_t wrapped = call.wrap_dimension(dim, self.rank()); rank > 0) shape.reduced[static_cast<size_t>(wrapped)] = true;
  const bool keep = call.has("keepdim") && call.boolean("keepdim");
  for (size_t i = 0; i < rank; ++i) {
    if (!shape.reduced[i]) shape.kept.push_back(self.sizes()[i]);
    else shape.length *= self.sizes()[i];
    if (!shape.reduced[i] || keep) shape.result.push_back(shape.reduced[i] ? 1 : self.sizes()[i]);
  }
  return shape;
}

Tensor permuted_last(const Tensor& self, const Shape& shape) {
  Sizes order;
  for (int pass = 0; pass < 2; ++pass)
    for (size_t i = 0; i < shape.reduced.size(); ++i)
      if (shape.reduced[i] == (pass == 1)) order.push_back(static_cast<int64_t>(i));
  return self.permuted(order);
}

// Rows to reduce, contiguous, as `dtype`.
Tensor rows_of(const Call& call, const Tensor& self, const Shape& shape, DType dtype) {
  const Tensor moved = permuted_last(self, shape);
  return moved.dtype() == dtype && moved.is_contiguous() ? moved : own_copy(call, moved, dtype);
}

// Calls body(row index, first element) for each row.
template <typename T, typename Body>
void for_rows(const Call& call, const Tensor& rows, int64_t count, int64_t length, Body body) {
  const T* data = rows.data<T>();
  constexpr int64_t worth_threads = 1 << 20;
  if (rows.numel() < worth_threads)
    for (int64_t i = 0; i < count; ++i) body(i, data + i * length);
  else
    parallel_for(static_cast<size_t>(count), call.threads(),
                 [&](size_t i) { body(static_cast<int64_t>(i), data + static_cast<int64_t>(i) * length); });
}

enum class Kind : int { sum, mean, product, maximum, minimum, any, all };

template <typename T>
T row_product(const T* x, int64_t n) {
  if constexpr (std::is_integral_v<T>) {
    uint64_t result = 1;
    for (int64_t i = 0; i < n; ++i) result *= static_cast<uint64_t>(x[i]);
    return static_cast<T>(result);
  } else {
    double result = 1;
    for (int64_t i = 0; i < n; ++i) result *= static_cast<double>(x[i]);
    return static_cast<T>(result);
  }
}

template <typename T>
T row_total(const T* x, int64_t n) {
  if constexpr (std::is_same_v<T, float>) return static_cast<T>(row_sum(x, n));
  std::conditional_t<std::is_integral_v<T>, uint64_t, T> total = 0;
  for (int64_t i = 0; i < n; ++i) total += static_cast<decltype(total)>(x[i]);
  return static_cast<T>(total);
}

template <typename T>
T row_extreme(const T* x, int64_t n, bool maximum) {
  if constexpr (std::is_same_v<T, float>) return maximum ? row_maximum(x, n) : row_minimum(x, n);
  T best = x[0];
  for (int64_t i = 1; i < n; ++i)
    if ((maximum ? x[i] > best : x[i] < best) || x[i] != x[i]) best = x[i];
  return best;
}

template <typename T>
T reduce_row(Kind kind, const T* x, int64_t n) {
  switch (kind) {
    case Kind::sum: return row_total(x, n);
    case Kind::mean:
      if constexpr (std::is_same_v<T, float>) return static_cast<T>(row_sum(x, n) / static_cast<double>(n));
      return static_cast<T>(static_cast<double>(row_total(x, n)) / static_cast<double>(n));
    case Kind::product: return row_product(x, n);
    case Kind::maximum: return row_extreme(x, n, true);
    case Kind::minimum: return row_extreme(x, n, false);
    case Kind::any: return std::any_of(x, x + n, [](T v) { return v != T{0}; });
    default: return std::all_of(x, x + n, [](T v) { return v != T{0}; });
  }
}

INTAGLIO_INLINE void accumulate_body(const float* x, int64_t count, double* total) {
  for (int64_t i = 0; i < count; ++i) total[i] += static_cast<double>(x[i]);
}
INTAGLIO_VERSIONS(accumulate, (const float* x, int64_t count, double* total), (x, count, total))

// Sums over all positions of a channels-last tensor, without moving its memory.
bool sum_over_positions(const Call& call, const Tensor& self, const Shape& shape, bool mean, const Tensor& out) {
  if (self.dtype() != DType::float32 || self.rank() < 3 || self.is_contiguous() || !is_channels_last(self)) return false;
  for (size_t i = 0; i < shape.reduced.size(); ++i)
    if (shape.reduced[i] != (i >= 2)) return false;
  const int64_t channels = self.size(1);
  float* to = writable<float>(out);
  parallel_for(static_cast<size_t>(self.size(0)), self.numel() < (1 << 20) ? 1 : call.threads(), [&](size_t n) {
    std::vector<double> total(static_cast<size_t>(channels), 0.0);
    const float* from = self.data<float>() + static_cast<int64_t>(n) * channels * shape.length;
    for (int64_t p = 0; p < shape.length; ++p) accumulate(from + p * channels, channels, total.data());
    for (int64_t c = 0; c < channels; ++c)
      to[static_cast<int64_t>(n) * channels + c] =
          static_cast<float>(mean ? total[static_cast<size_t>(c)] / static_cast<double>(shape.length) : total[static_cast<size_t>(c)]);
  });
  return true;
}

void reduce(Call& call) {
  const Kind kind = static_cast<Kind>(call.variant());
  const Tensor& self = call.tensor("self");
  const Shape shape = read_shape(call, self, call.has("dims") ? "dims" : "dim");
  DType source = self.dtype(), target = self.dtype();
  const auto asked = call.optional_dtype("dtype");
  const bool counts = kind == Kind::sum || kind == Kind::product;
  if (kind == Kind::any || kind == Kind::all) target = DType::boolean;
  else if (asked) source = target = *asked;
  else if (counts && !is_floating(source)) target = DType::int64;
  if (kind == Kind::mean && !is_floating(source)) call.fail(fmt::format("the mean of a {} tensor", name(source)));
  const bool needs_element = kind == Kind::maximum || kind == Kind::minimum;
  call.require(!needs_element || shape.length > 0 || self.numel() > 0 || element_count(shape.kept) == 0, "the extreme of no elements");

  const DType rows_dtype = row_type(source);
  const Tensor out = call.empty(target == rows_dtype ? target : rows_dtype, shape.result);
  const bool positions = (kind == Kind::sum || kind == Kind::mean) && target == DType::float32 &&
                         sum_over_positions(call, self, shape, kind == Kind::mean, out);
  if (!positions) {
    const Tensor rows = rows_of(call, self, shape, rows_dtype);
    with_row_type(rows_dtype, [&]<typename T>(T) {
      T* to = writable<T>(out);
      for_rows<T>(call, rows, out.numel(), shape.length, [&](int64_t row, const T* x) { to[row] = reduce_row(kind, x, shape.length); });
    });
  }
  call.set(converted(out, target));
}

// ------------------------------------------------------------------------------------------------ extremes with places

enum : int { kind_maximum, kind_minimum };

template <typename T>
int64_t place_of_extreme(const T* x, int64_t n, bool maximum) {
  int64_t best = 0;
  for (int64_t i = 1; i < n; ++i) {
    if (x[best] != x[best]) break;  // NaN wins, the first one
    if ((maximum ? x[i] > x[best] : x[i] < x[best]) || x[i] != x[i]) best = i;
  }
  return best;
}

// Values (unless null) and indices along the dimension, or over everything.
void extreme_places(Call& call, const Shape& shape, Tensor* values, const Tensor& indices) {
  const Tensor& self = call.tensor("self");
  call.require(shape.length > 0 || indices.numel() == 0, "the extreme of no elements");
  const DType dtype = row_type(self.dtype());
  const Tensor rows = rows_of(call, self, shape, dtype);
  int64_t* places = writable<int64_t>(indices);
  with_row_type(dtype, [&]<typename T>(T) {
    const Tensor best = call.empty(dtype, shape.result);
    T* to = writable<T>(best);
    for_rows<T>(call, rows, indices.numel(), shape.length, [&](int64_t row, const T* x) {
      places[row] = place_of_extreme(x, shape.length, call.variant() == kind_maximum);
      to[row] = x[places[row]];
    });
    if (values != nullptr) *values = converted(best, self.dtype());
  });
}

void arg_extreme(Call& call) {
  const Shape shape = read_shape(call, call.tensor("self"));
  const Tensor indices = call.empty(DType::int64, shape.result);
  extreme_places(call, shape, nullptr, indices);
  call.set(indices);
}

void extreme_along(Call& call) {
  const Shape shape = read_shape(call, call.tensor("self"));
  const Tensor indices = call.empty(DType::int64, shape.result);
  Tensor values;
  extreme_places(call, shape, &values, indices);
  call.set(values, 0);
  call.set(indices, 1);
}

// ----------------------------------------------------------------------------------------------------------- variance

enum : int { kind_variance, kind_deviation, kind_variance_and_mean, kind_deviation_and_mean };

double correction_of(Call& call) {
  if (call.has("unbiased")) return call.boolean("unbiased") ? 1 : 0;
  const auto correction = call.optional_number("correction");
  return correction ? correction->as_double() : 1;
}

template <typename T>
std::pair<double, double> mean_and_squares(const T* x, int64_t n) {
  if constexpr (std::is_same_v<T, float>) {
    const double mean = row_sum(x, n) / static_cast<double>(n);
    return {mean, row_square_sum(x, n, mean)};
  } else {
    double total = 0, squares = 0;
    for (int64_t i = 0; i < n; ++i) total += static_cast<double>(x[i]);
    const double mean = total / static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i) squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
    return {mean, squares};
  }
}

void variance(Call& call) {
  const Tensor& self = call.tensor("self");
  if (!is_floating(self.dtype())) call.fail(fmt::format("the variance of a {} tensor", name(self.dtype())));
  const Shape shape = read_shape(call, self);
  const double divisor = std::max(0.0, static_cast<double>(shape.length) - correction_of(call));
  const bool root = call.variant() == kind_deviation || call.variant() == kind_deviation_and_mean;
  const DType dtype = row_type(self.dtype());
  const Tensor rows = rows_of(call, self, shape, dtype);
  const Tensor out = call.empty(dtype, shape.result), means = call.empty(dtype, shape.result);
  with_row_type(dtype, [&]<typename T>(T) {
    for_rows<T>(call, rows, out.numel(), shape.length, [&](int64_t row, const T* x) {
      const auto [mean, squares] = mean_and_squares(x, shape.length);
      writable<T>(out)[row] = static_cast<T>(root ? std::sqrt(squares / divisor) : squares / divisor);
      writable<T>(means)[row] = static_cast<T>(mean);
    });
  });
  call.set(converted(out, self.dtype()), 0);
  if (call.variant() >= kind_variance_and_mean) call.set(converted(means, self.dtype()), 1);
}

// --------------------------------------------------------------------------------------------------------------- norms

double row_norm(const float* x, int64_t n, double order) {
  double total = 0, largest = 0, smallest = std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) {
    const double v = std::fabs(static_cast<double>(x[i]));
    largest = v > largest || v != v ? v : largest;
    smallest = v < smallest || v != v ? v : smallest;
    total += order == 0 ? (v != 0) : order == 1 ? v : order == 2 ? v * v : std::isinf(order) ? 0 : std::pow(v, order);
  }
  if (std::isinf(order)) return order > 0 ? largest : smallest;
  return order == 0 || order == 1 ? total : order == 2 ? std::sqrt(total) : std::pow(total, 1 / order);
}

void norm(Call& call) {
  const Tensor& self = call.tensor("self");
  if (self.dtype() == DType::float64) return run_elsewhere(call);
  if (!is_floating(self.dtype())) call.unsupported(fmt::format("the norm of {} tensors", name(self.dtype())));
  const auto given = call.optional_number(call.has("ord") ? "ord" : "p");
  const double order = given ? given->as_double() : 2;
  const Shape shape = read_shape(call, self);
  const Tensor rows = rows_of(call, self, shape, DType::float32), out = call.empty(DType::float32, shape.result);
  for_rows<float>(call, rows, out.numel(), shape.length,
                  [&](int64_t row, const float* x) { writable<float>(out)[row] = static_cast<float>(row_norm(x, shape.length, order)); });
  call.set(converted(out, call.optional_dtype("dtype").value_or(self.dtype())));
}

constexpr int code(Kind kind) { return static_cast<int>(kind); }

}  // namespace

std::span<const Kernel> reduction_kernels() {
  static const std::vector<Kernel> table = kernels_of({
      {reduce, {"aten.sum.default", "aten.sum.dim_IntList"}, code(Kind::sum)},
      {reduce, {"aten.mean.default", "aten.mean.dim"}, code(Kind::mean)},
      {reduce, {"aten.prod.default", "aten.prod.dim_int"}, code(Kind::product)},
      {reduce, {"aten.amax.default", "aten.max.default"}, code(Kind::maximum)},
      {reduce, {"aten.amin.default", "aten.min.default"}, code(Kind::minimum)},
      {reduce, {"aten.any.default", "aten.any.dim", "aten.any.dims"}, code(Kind::any)},
      {reduce, {"aten.all.default", "aten.all.dim", "aten.all.dims"}, code(Kind::all)},
      {arg_extreme, {"aten.argmax.default"}, kind_maximum},
      {arg_extreme, {"aten.argmin.default"}, kind_minimum},
      {extreme_along, {"aten.max.dim"}, kind_maximum},
      {extreme_along, {"aten.min.dim"}, kind_minimum},
      {variance, {"aten.var.default", "aten.var.dim", "aten.var.correction"}, kind_variance},
      {variance, {"aten.std.default", "aten.std.dim", "aten.std.correction"}, kind_deviation},
      {variance, {"aten.var_mean.correction", "aten.var_mean.dim"}, kind_variance_and_mean},
      {variance, {"aten.std_mean.correction"}, kind_deviation_and_mean},
      {norm, {"aten.linalg_vector_norm.default", "aten.norm.ScalarOpt_dim", "aten.norm.Scalar"}},
  });
  return table;
}

}  // namespace intaglio::interp
