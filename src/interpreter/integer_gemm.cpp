#include "interpreter/integer_gemm.h"

#include <algorithm>
#include <cstdlib>

#include "interpreter/instruction_set.h"

namespace intaglio::interp {
namespace {

constexpr int tile_rows = 4, tile_columns = 4;

// The compiler makes multiply-and-add instructions of int16 pairs of this loop.
template <int rows, int columns>
INTAGLIO_INLINE void tile_of(const int16_t* a, int64_t a_stride, const int16_t* b, int64_t b_stride, int64_t count, int32_t* sums) {
  int32_t total[rows][columns] = {};
  for (int64_t i = 0; i < count; ++i)
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) total[r][c] += int32_t{a[r * a_stride + i]} * int32_t{b[c * b_stride + i]};
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) sums[r * tile_columns + c] = total[r][c];
}

INTAGLIO_INLINE void whole_tile_body(const int16_t* a, int64_t a_stride, const int16_t* b, int64_t b_stride, int64_t count, int32_t* sums) {
  tile_of<tile_rows, tile_columns>(a, a_stride, b, b_stride, count, sums);
}
INTAGLIO_VERSIONS(whole_tile, (const int16_t* a, int64_t a_stride, const int16_t* b, int64_t b_stride, int64_t count, int32_t* sums),
                  (a, a_stride, b, b_stride, count, sums))

INTAGLIO_INLINE void one_sum_body(const int16_t* a, const int16_t* b, int64_t count, int32_t* sums) {
  tile_of<1, 1>(a, 0, b, 0, count, sums);
}
INTAGLIO_VERSIONS(one_sum, (const int16_t* a, const int16_t* b, int64_t count, int32_t* sums), (a, b, count, sums))

int64_t largest(const IntegerMatrix& matrix) {
  int32_t low = 0, high = 0;
  for (int64_t r = 0; r < matrix.rows; ++r) {
    const int16_t* row = matrix.data + r * matrix.stride;
    for (int64_t i = 0; i < matrix.columns; ++i) {
      low = std::min<int32_t>(low, row[i]);
      high = std::max<int32_t>(high, row[i]);
    }
  }
  return std::max(-low, high);
}

// Sums of a tile's products, `terms` at a time, in 64 bits.
struct Tile {
  int rows, columns;
  uint64_t sums[tile_rows * tile_columns];

  void add(const int32_t* part) {
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) sums[r * tile_columns + c] += static_cast<uint64_t>(int64_t{part[r * tile_columns + c]});
  }
};

void compute(Tile& tile, const int16_t* a, int64_t a_stride, const int16_t* b, int64_t b_stride, int64_t count, int64_t terms) {
  std::fill(std::begin(tile.sums), std::end(tile.sums), 0);
  for (int64_t first = 0; first < count; first += terms) {
    const int64_t part = std::min(terms, count - first);
    int32_t sums[tile_rows * tile_columns];
    if (tile.rows == tile_rows && tile.columns == tile_columns) {
      whole_tile(a + first, a_stride, b + first, b_stride, part, sums);
    } else {
      for (int r = 0; r < tile.rows; ++r)
        for (int c = 0; c < tile.columns; ++c)
          one_sum(a + r * a_stride + first, b + c * b_stride + first, part, sums + r * tile_columns + c);
    }
    tile.add(sums);
  }
}

}  // namespace

int64_t safe_terms(const IntegerMatrix& a, const IntegerMatrix& b) {
  return std::max<int64_t>(1, INT32_MAX / std::max<int64_t>(1, largest(a) * largest(b)));
}

template <typename Out>
void integer_gemm(const IntegerMatrix& a, const IntegerMatrix& b, int64_t terms, Out* out, int64_t out_stride) {
  for (int64_t j = 0; j < b.rows; j += tile_columns)
    for (int64_t i = 0; i < a.rows; i += tile_rows) {
      Tile tile{
          static_cast<int>(std::min<int64_t>(tile_rows, a.rows - i)), static_cast<int>(std::min<int64_t>(tile_columns, b.rows - j)), {}};
      compute(tile, a.data + i * a.stride, a.stride, b.data + j * b.stride, b.stride, a.columns, terms);
      for (int r = 0; r < tile.rows; ++r)
        for (int c = 0; c < tile.columns; ++c) out[(i + r) * out_stride + j + c] = static_cast<Out>(tile.sums[r * tile_columns + c]);
    }
}

template void integer_gemm(const IntegerMatrix&, const IntegerMatrix&, int64_t, int32_t*, int64_t);
template void integer_gemm(const IntegerMatrix&, const IntegerMatrix&, int64_t, int64_t*, int64_t);

}  // namespace intaglio::interp
