// Products of int16 matrices with sums that do not overflow.
#pragma once

#include <cstdint>
#include <vector>

namespace intaglio::interp {

// A row-major matrix of int16; rows are `stride` elements apart.
struct IntegerMatrix {
  const int16_t* data = nullptr;
  int64_t rows = 0, columns = 0, stride = 0;
};

// The largest absolute value.
int64_t largest(const IntegerMatrix& matrix);

// A matrix ready to be multiplied by: panels of rows, in each of which pairs of columns follow each other.
class PackedRows {
 public:
  explicit PackedRows(const IntegerMatrix& b);

  // out[i][j] (rows `out_stride` apart) = sum over l of a[i][l] b[j][l], which wraps around as PyTorch's sums in Out (int32_t or
  // int64_t) do. `largest_of_a` bounds a's absolute values.
  template <typename Out>
  void multiply(const IntegerMatrix& a, int64_t largest_of_a, Out* out, int64_t out_stride) const;

 private:
  int64_t rows_ = 0, pairs_ = 0, largest_ = 0;
  std::vector<int16_t> panels_;
};

}  // namespace intaglio::interp
