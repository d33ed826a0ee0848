#include "interpreter/integer_gemm.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "interpreter/instruction_set.h"

namespace intaglio::interp {
namespace {

constexpr int64_t panel = 32;     // rows of b side by side
constexpr int64_t tile_rows = 4;  // of a

// sums[r][c] = the sum over pairs p of a[r][2p] b[2p][c] + a[r][2p + 1] b[2p + 1][c]; the pairs of a panel's rows lie side by side.
void tile_base(const int16_t* const* a, const int16_t* b, int64_t pairs, int32_t* sums) {
  std::fill_n(sums, tile_rows * panel, 0);
  for (int64_t p = 0; p < pairs; ++p)
    for (int64_t r = 0; r < tile_rows; ++r)
      for (int64_t c = 0; c < panel; ++c) {
        const int16_t* pair = b + (p * panel + c) * 2;
        sums[r * panel + c] += int32_t{a[r][2 * p]} * pair[0] + int32_t{a[r][2 * p + 1]} * pair[1];
      }
}

#if defined(__x86_64__)
INTAGLIO_INLINE int32_t pair_at(const int16_t* a, int64_t pair) {
  int32_t both;
  std::memcpy(&both, a + 2 * pair, sizeof both);
  return both;
}

INTAGLIO_AVX512 void tile_avx512(const int16_t* const* a, const int16_t* b, int64_t pairs, int32_t* sums) {
  __m512i total[tile_rows][2];
  for (auto& row : total) row[0] = row[1] = _mm512_setzero_si512();
  for (int64_t p = 0; p < pairs; ++p) {
    const __m512i left = _mm512_loadu_si512(b + p * panel * 2), right = _mm512_loadu_si512(b + p * panel * 2 + panel);
    for (int64_t r = 0; r < tile_rows; ++r) {
      const __m512i both = _mm512_set1_epi32(pair_at(a[r], p));
      total[r][0] = _mm512_add_epi32(total[r][0], _mm512_madd_epi16(both, left));
      total[r][1] = _mm512_add_epi32(total[r][1], _mm512_madd_epi16(both, right));
    }
  }
  for (int64_t r = 0; r < tile_rows; ++r)
    for (int64_t half = 0; half < 2; ++half) _mm512_storeu_si512(sums + r * panel + half * panel / 2, total[r][half]);
}

INTAGLIO_AVX2 void tile_avx2(const int16_t* const* a, const int16_t* b, int64_t pairs, int32_t* sums) {
  constexpr int64_t lanes = 8;
  for (int64_t first = 0; first < panel; first += 2 * lanes) {  // what the registers hold
    __m256i total[tile_rows][2];
    for (auto& row : total) row[0] = row[1] = _mm256_setzero_si256();
    for (int64_t p = 0; p < pairs; ++p) {
      const auto* at = reinterpret_cast<const __m256i*>(b + (p * panel + first) * 2);
      const __m256i left = _mm256_loadu_si256(at), right = _mm256_loadu_si256(at + 1);
      for (int64_t r = 0; r < tile_rows; ++r) {
        const __m256i both = _mm256_set1_epi32(pair_at(a[r], p));
        total[r][0] = _mm256_add_epi32(total[r][0], _mm256_madd_epi16(both, left));
        total[r][1] = _mm256_add_epi32(total[r][1], _mm256_madd_epi16(both, right));
      }
    }
    for (int64_t r = 0; r < tile_rows; ++r)
      for (int64_t half = 0; half < 2; ++half)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + r * panel + first + half * lanes), total[r][half]);
  }
}
#endif

using TileFunction = void (*)(const int16_t* const* a, const int16_t* b, int64_t pairs, int32_t* sums);
TileFunction best_tile() {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::avx512) return tile_avx512;
  if (instruction_set() == InstructionSet::avx2) return tile_avx2;
#endif
  return tile_base;
}

INTAGLIO_INLINE void extremes_body(const int16_t* row, int64_t count, int32_t* low, int32_t* high) {
  int32_t smallest = *low, biggest = *high;
  for (int64_t i = 0; i < count; ++i) {
    smallest = std::min<int32_t>(smallest, row[i]);
    biggest = std::max<int32_t>(biggest, row[i]);
  }
  *low = smallest;
  *high = biggest;
}
INTAGLIO_VERSIONS(extremes, (const int16_t* row, int64_t count, int32_t* low, int32_t* high), (row, count, low, high))

}  // namespace

int64_t largest(const IntegerMatrix& matrix) {
  int32_t low = 0, high = 0;
  for (int64_t r = 0; r < matrix.rows; ++r) extremes(matrix.data + r * matrix.stride, matrix.columns, &low, &high);
  return std::max(-low, high);
}

PackedRows::PackedRows(const IntegerMatrix& b) : rows_(b.rows), pairs_((b.columns + 1) / 2), largest_(largest(b)) {
  const int64_t panels = (b.rows + panel - 1) / panel;
  panels_.assign(static_cast<size_t>(panels * panel * pairs_ * 2), 0);
  for (int64_t r = 0; r < b.rows; ++r) {
    const int16_t* from = b.data + r * b.stride;
    int16_t* to = panels_.data() + (r / panel * pairs_ * panel + r % panel) * 2;
    for (int64_t c = 0; c < b.columns; ++c) to[c / 2 * panel * 2 + c % 2] = from[c];
  }
}

template <typename Out>
void PackedRows::multiply(const IntegerMatrix& a, int64_t largest_of_a, Out* out, int64_t out_stride) const {
  static const TileFunction tile = best_tile();
  // Sums of so many pairs are held by an int32; what is longer is summed in parts.
  const int64_t safe_pairs = std::max<int64_t>(1, INT32_MAX / std::max<int64_t>(1, largest_of_a * largest_) / 2);
  std::vector<int16_t> last;  // rows of an odd number of columns end in a pair of which half is not there
  if (a.columns % 2 != 0) {
    last.resize(static_cast<size_t>(a.rows) * static_cast<size_t>(pairs_) * 2);
    for (int64_t r = 0; r < a.rows; ++r) std::copy_n(a.data + r * a.stride, a.columns, last.data() + r * pairs_ * 2);
  }
  const int16_t* data = last.empty() ? a.data : last.data();
  const int64_t stride = last.empty() ? a.stride : pairs_ * 2;
  for (int64_t j = 0; j < rows_; j += panel) {
    const int16_t* b = panels_.data() + j * pairs_ * 2;
    for (int64_t i = 0; i < a.rows; i += tile_rows) {
      const int64_t rows = std::min(tile_rows, a.rows - i), columns = std::min(panel, rows_ - j);
      int32_t sums[tile_rows * panel];
      for (int64_t first = 0; first < pairs_; first += safe_pairs) {
        const int16_t* starts[tile_rows];
        for (int64_t r = 0; r < tile_rows; ++r) starts[r] = data + (i + std::min(r, rows - 1)) * stride + first * 2;
        tile(starts, b + first * panel * 2, std::min(safe_pairs, pairs_ - first), sums);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < columns; ++c) {
            Out& to = out[(i + r) * out_stride + j + c];
            const auto sum = static_cast<uint64_t>(int64_t{sums[r * panel + c]});
            to = static_cast<Out>(first == 0 ? sum : static_cast<uint64_t>(int64_t{to}) + sum);
          }
      }
      if (pairs_ == 0)
        for (int64_t r = 0; r < rows; ++r) std::fill_n(out + (i + r) * out_stride + j, columns, Out{0});
    }
  }
}

template void PackedRows::multiply(const IntegerMatrix&, int64_t, int32_t*, int64_t) const;
template void PackedRows::multiply(const IntegerMatrix&, int64_t, int64_t*, int64_t) const;

}  // namespace intaglio::interp
