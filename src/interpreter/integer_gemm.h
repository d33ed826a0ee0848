// Products of int16 matrices with sums that do not overflow.
#pragma once

#include <cstdint>

namespace intaglio::interp {

// A row-major matrix of int16; rows are `stride` elements apart.
struct IntegerMatrix {
  const int16_t* data = nullptr;
  int64_t rows = 0, columns = 0, stride = 0;
};

// How many products of elements of `a` and `b` an int32 surely holds the sum of; at least 1.
int64_t safe_terms(const IntegerMatrix& a, const IntegerMatrix& b);

// out[i][j] (rows `out_stride` apart) = sum over l of a[i][l] b[j][l], which wraps around as PyTorch's sums in Out (int32_t or
// int64_t) do. `terms` is what `safe_terms` gives for the whole of which these are parts.
template <typename Out>
void integer_gemm(const IntegerMatrix& a, const IntegerMatrix& b, int64_t terms, Out* out, int64_t out_stride);

}  // namespace intaglio::interp
