// Running sums, sorting and selection along a dimension.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "interpreter/kernel_table.h"
#include "interpreter/row_math.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

// The dimension moved last, contiguous, in `dtype`; and the way back.
struct Rows {
  Tensor data;
  Sizes back;
  int64_t length = 1, count = 0;
};
Rows rows_along(Call& call, const Tensor& self, int64_t dim, DType dtype) {
  Rows rows;
  Sizes order;
  for (int64_t i = 0; i < self.rank(); ++i)
    if (i != dim) order.push_back(i);
  if (self.rank() > 0) order.push_back(dim);
  rows.back.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) rows.back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  const Tensor moved = self.permuted(order);
  rows.data = own_copy(call, moved, dtype);
  rows.length = moved.rank() == 0 ? 1 : moved.size(-1);
  rows.count = rows.length == 0 ? 0 : moved.numel() / rows.length;
  return rows;
}

enum : int { kind_sum, kind_product };
template <typename T>
void accumulate(T* x, int64_t length, bool sum) {
  using Wide = std::conditional_t<std::is_integral_v<T>, uint64_t, double>;
  Wide total = sum ? 0 : 1;
  for (int64_t i = 0; i < length; ++i) {
    total = sum ? total + static_cast<Wide>(x[i]) : total * static_cast<Wide>(x[i]);
    x[i] = static_cast<T>(total);
  }
}

void cumulate(Call& call) {
  const Tensor& self = call.tensor("self");
  const DType dtype = call.optional_dtype("dtype").value_or(is_floating(self.dtype()) ? self.dtype() : DType::int64);
  const Rows rows = rows_along(call, self, call.dimension("dim", self.rank()), row_type(dtype));
  with_row_type(rows.data.dtype(), [&]<typename T>(T) {
    for (int64_t r = 0; r < rows.count; ++r) accumulate(writable<T>(rows.data) + r * rows.length, rows.length, call.variant() == kind_sum);
  });
  call.set(converted(rows.data, dtype).permuted(rows.back));
}

// NaN counts as the largest value.
template <typename T>
bool less(T a, T b) {
  return a < b || (b != b && a == a);
}

// The `keep` first of each row in sorted order: values and their places.
void ordered(Call& call, int64_t dim, int64_t keep, bool descending, bool values_wanted) {
  const Tensor& self = call.tensor("self");
  const Rows rows = rows_along(call, self, dim, row_type(self.dtype()));
  Sizes sizes = rows.data.sizes();
  if (!sizes.empty()) sizes.back() = keep;
  const Tensor values = call.empty(rows.data.dtype(), sizes), indices = call.empty(DType::int64, sizes);
  std::vector<int64_t> order(static_cast<size_t>(rows.length));
  with_row_type(rows.data.dtype(), [&]<typename T>(T) {
    for (int64_t r = 0; r < rows.count; ++r) {
      const T* x = rows.data.data<T>() + r * rows.length;
      std::iota(order.begin(), order.end(), int64_t{0});
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return descending ? less(x[b], x[a]) : less(x[a], x[b]); });
      for (int64_t i = 0; i < keep; ++i) {
        writable<int64_t>(indices)[r * keep + i] = order[static_cast<size_t>(i)];
        writable<T>(values)[r * keep + i] = x[order[static_cast<size_t>(i)]];
      }
    }
  });
  if (values_wanted) call.set(converted(values, self.dtype()).permuted(rows.back), 0);
  call.set(indices.permuted(rows.back), values_wanted ? 1 : 0);
}

enum : int { kind_sort, kind_argsort };
void sort(Call& call) {
  const Tensor& self = call.tensor("self");
  const int64_t dim = call.dimension("dim", self.rank());
  ordered(call, dim, self.rank() == 0 ? 1 : self.size(dim), call.boolean("descending"), call.variant() == kind_sort);
}
void topk(Call& call) {
  const Tensor& self = call.tensor("self");
  const int64_t dim = call.dimension("dim", self.rank()), k = call.integer("k"), extent = self.rank() == 0 ? 1 : self.size(dim);
  if (k < 0 || k > extent) call.fail(fmt::format("the top {} of {}", k, extent));
  ordered(call, dim, k, call.boolean("largest"), true);
}

// The lower of the two middle values; NaN where there is one.
template <typename T>
int64_t median_place(const T* x, int64_t length, std::vector<int64_t>& order) {
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = 0; i < length; ++i)
    if (x[i] != x[i]) return i;
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return x[a] < x[b]; });
  return order[static_cast<size_t>((length - 1) / 2)];
}
void median(Call& call) {
  const Tensor& whole = call.tensor("self");
  const bool along = call.has("dim");
  const Tensor self = along || whole.rank() == 1 ? whole : whole.contiguous().reshaped({whole.numel()});
  const int64_t dim = along ? call.dimension("dim", self.rank()) : 0;
  const Rows rows = rows_along(call, self, dim, row_type(self.dtype()));
  call.require(rows.length > 0, "there is no median of nothing");
  Sizes sizes = rows.data.sizes();
  if (!sizes.empty()) sizes.back() = 1;
  const Tensor values = call.empty(rows.data.dtype(), sizes), indices = call.empty(DType::int64, sizes);
  std::vector<int64_t> order(static_cast<size_t>(rows.length));
  with_row_type(rows.data.dtype(), [&]<typename T>(T) {
    for (int64_t r = 0; r < rows.count; ++r) {
      const T* x = rows.data.data<T>() + r * rows.length;
      const int64_t place = median_place(x, rows.length, order);
      writable<int64_t>(indices)[r] = place;
      writable<T>(values)[r] = x[place];
    }
  });
  if (!along) return call.set(converted(values, self.dtype()).reshaped({}));
  const auto finish = [&](const Tensor& result) {
    const Tensor kept = result.permuted(rows.back);
    if (call.boolean("keepdim") || kept.rank() == 0) return kept;
    Sizes squeezed = kept.sizes();
    squeezed.erase(squeezed.begin() + dim);
    return kept.contiguous().reshaped(squeezed);
  };
  call.set(finish(converted(values, self.dtype())), 0);
  call.set(finish(indices), 1);
}

}  // namespace

std::span<const Kernel> scan_kernels() {
  static const Kernel table[] = {
      {"aten.cumsum.default", cumulate, kind_sum},
      {"aten.cumprod.default", cumulate, kind_product},
      {"aten.sort.default", sort, kind_sort},
      {"aten.sort.stable", sort, kind_sort},
      {"aten.argsort.default", sort, kind_argsort},
      {"aten.argsort.stable", sort, kind_argsort},
      {"aten.topk.default", topk},
      {"aten.median.default", median},
      {"aten.median.dim", median},
  };
  return table;
}

}  // namespace intaglio::interp
