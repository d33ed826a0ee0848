// Softmax and its logarithm along one dimension.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/threads.h"
#include "interpreter/kernel_table.h"
#include "interpreter/row_math.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

enum : int { kind_softmax, kind_log_softmax, kind_safe };

float largest(const float* x, int64_t length) { return row_maximum(x, length); }
double largest(const double* x, int64_t length) { return length == 0 ? -INFINITY : *std::max_element(x, x + length); }

void softmax_row(float* x, int64_t length, bool logarithm) { row_softmax(x, length, logarithm, x); }
void softmax_row(double* x, int64_t length, bool logarithm) {
  const double top = largest(x, length);
  double sum = 0;
  for (int64_t i = 0; i < length; ++i) sum += std::exp(x[i] - top);
  const double shift = top + std::log(sum);
  for (int64_t i = 0; i < length; ++i) x[i] = logarithm ? x[i] - shift : std::exp(x[i] - top) / sum;
}

template <typename T>
void softmax_rows(Call& call, const Tensor& rows, bool logarithm) {
  const int64_t length = rows.rank() == 0 ? 1 : rows.size(-1);
  const int64_t count = length == 0 ? 0 : rows.numel() / length;
  T* data = writable<T>(rows);
  const auto run = [&](size_t row) {
    T* x = data + static_cast<int64_t>(row) * length;
    // A row of nothing but -inf: the safe form gives zeros.
    if (call.variant() == kind_safe && largest(x, length) == -INFINITY) std::fill_n(x, length, T{0});
    else softmax_row(x, length, logarithm);
  };
  constexpr int64_t worth_threads = 1 << 19;
  if (rows.numel() < worth_threads)
    for (int64_t i = 0; i < count; ++i) run(static_cast<size_t>(i));
  else parallel_for(static_cast<size_t>(count), call.threads(), run);
}

void softmax(Call& call) {
  const Tensor& self = call.tensor("self");
  const bool logarithm = call.variant() == kind_log_softmax;
  const DType given = call.optional_dtype("dtype").value_or(self.dtype());
  const bool to_float32 = call.node().op().base().starts_with("_") && call.variant() != kind_safe && call.boolean("half_to_float");
  const DType dtype = to_float32 ? DType::float32 : given;
  if (!is_floating(dtype)) call.unsupported(fmt::format("softmax of {} tensors", name(dtype)));
  const int64_t dim = call.dimension("dim", self.rank());

  // The dimension goes last; the result is permuted back, as a view.
  Sizes order, back(static_cast<size_t>(self.rank()));
  for (int64_t i = 0; i < self.rank(); ++i)
    if (i != dim) order.push_back(i);
  if (self.rank() > 0) order.push_back(dim);
  for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  const Tensor moved = self.permuted(order);
  const bool wide = dtype == DType::float64;
  const Tensor rows = own_copy(call, moved, wide ? dtype : DType::float32);
  if (wide) softmax_rows<double>(call, rows, logarithm);
  else softmax_rows<float>(call, rows, logarithm);
  const Tensor typed = dtype == rows.dtype() ? rows : converted(rows, dtype);
  call.set(typed.permuted(back));
}

}  // namespace

std::span<const Kernel> softmax_kernels() {
  static const Kernel table[] = {
      {"aten.softmax.int", softmax, kind_softmax},         {"aten._softmax.default", softmax, kind_softmax},
      {"aten.log_softmax.int", softmax, kind_log_softmax}, {"aten._log_softmax.default", softmax, kind_log_softmax},
      {"aten._safe_softmax.default", softmax, kind_safe},
  };
  return table;
}

}  // namespace intaglio::interp
