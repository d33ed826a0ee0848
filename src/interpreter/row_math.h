// Reductions of a contiguous row of floats. Sixteen running sums are kept whatever the instruction set, so that all
// processors give the same bits.
#pragma once

#include <cstdint>

#include <intaglio/dtype.h>

namespace intaglio::interp {

double row_sum(const float* x, int64_t count);
// Sum of (x - center)^2.
double row_square_sum(const float* x, int64_t count, double center);
float row_maximum(const float* x, int64_t count);  // NaN if any is; -inf for none
float row_minimum(const float* x, int64_t count);
// out = (x - shift) * factor [* weight] [+ bias], weight and bias by position or null.
void row_affine(const float* x, float shift, float factor, const float* weight, const float* bias, int64_t count, float* out);
// out = exp(x - maximum) / sum; `logarithm`: out = x - maximum - log(sum). A row of -inf gives NaN, as PyTorch does.
// out = exp(x - shift), whose sum is returned.
double row_exponentials(const float* x, float shift, int64_t count, float* out);
void row_softmax(const float* x, int64_t count, bool logarithm, float* out);
// out += factor * x
void row_add_scaled(float* out, const float* x, float factor, int64_t count);

// The type rows are read in, float32, float64 or int64.
inline DType row_type(DType dtype) {
  if (dtype == DType::float64) return DType::float64;
  return is_floating(dtype) ? DType::float32 : DType::int64;
}

template <typename Body>
void with_row_type(DType dtype, Body body) {
  if (dtype == DType::float64) body(double{});
  else if (dtype == DType::float32) body(float{});
  else body(int64_t{});
}

}  // namespace intaglio::interp
