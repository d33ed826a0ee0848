// The few vector operations that the kernels need, for the instruction set that the including file is compiled for.
// `Vec` holds float32, `IntVec` unsigned 32-bit lanes. min and max return the second argument when the first is NaN.
// larger_magnitude: of a, which is not negative, and |b| the larger; NaN is the largest, as in greatest_magnitude. store_int8: four vectors
// of numbers below 2^30 rounded half to even, the zero point of each added, clamped; their int8 one behind the other.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace intaglio::quant::INTAGLIO_ISA {
namespace {

struct ByteRange {
  int8_t low, high;
};
// Eight lanes on any processor: what PyTorch sums by.
typedef float Eight __attribute__((vector_size(32)));

#if defined(__AVX512F__)

struct Vec {
  static constexpr int lanes = 16;
  __m512 v;
};
struct IntVec {
  __m512i v;
};
inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
inline Vec splat(float a) { return {_mm512_set1_ps(a)}; }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec floor(Vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)}; }
inline Vec fused_multiply_add(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
// n + 1 where (n + 1) * d <= a holds exactly, else n.
inline Vec step_up(Vec n, Vec d, Vec a) {
  const __m512 next = _mm512_add_ps(n.v, _mm512_set1_ps(1.0f));
  const __m512 rest = _mm512_fnmadd_ps(next, d.v, a.v);
  return {_mm512_mask_mov_ps(n.v, _mm512_cmp_ps_mask(rest, _mm512_setzero_ps(), _CMP_GE_OQ), next)};
}
inline bool any_nan(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_UNORD_Q) != 0; }
inline bool any_above(Vec a, float bound) { return _mm512_cmp_ps_mask(a.v, _mm512_set1_ps(bound), _CMP_GT_OQ) != 0; }
inline Vec nearest(Vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline Vec larger_magnitude(Vec a, Vec b) {
  const __m512i magnitude = _mm512_and_si512(_mm512_castps_si512(b.v), _mm512_set1_epi32(0x7fffffff));
  return {_mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a.v), magnitude))};
}
inline void store_int8(int8_t* p, const Vec (&a)[4], const int32_t (&zero_point)[4], ByteRange range) {
  __m512i n[4];
  for (int i = 0; i < 4; ++i) n[i] = _mm512_add_epi32(_mm512_cvtps_epi32(a[i].v), _mm512_set1_epi32(zero_point[i]));
  __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(n[0], n[1]), _mm512_packs_epi32(n[2], n[3]));
  bytes = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
  _mm512_storeu_si512(p, _mm512_min_epi8(_mm512_max_epi8(bytes, _mm512_set1_epi8(range.low)), _mm512_set1_epi8(range.high)));
}
inline void split(const Vec (&a)[2], Eight (&parts)[4]) {
  for (int i = 0; i < 2; ++i) {
    parts[2 * i] = _mm512_castps512_ps256(a[i].v);
    parts[2 * i + 1] = _mm512_extractf32x8_ps(a[i].v, 1);
  }
}
inline IntVec truncated_below(Vec a, uint32_t limit) {
  return {_mm512_min_epu32(_mm512_cvttps_epi32(a.v), _mm512_set1_epi32(static_cast<int>(limit)))};
}
inline void store(uint32_t* p, IntVec a) { _mm512_storeu_si512(p, a.v); }
inline float least(Vec a) { return _mm512_reduce_min_ps(a.v); }
inline float greatest(Vec a) { return _mm512_reduce_max_ps(a.v); }
inline float greatest_magnitude(Vec a) { return __builtin_bit_cast(float, _mm512_reduce_max_epi32(_mm512_castps_si512(a.v))); }
inline int count_below_16(const float* p, float bound) {
  return __builtin_popcount(_mm512_cmp_ps_mask(_mm512_loadu_ps(p), _mm512_set1_ps(bound), _CMP_LT_OQ));
}

#elif defined(__AVX2__)

struct Vec {
  static constexpr int lanes = 8;
  __m256 v;
};
struct IntVec {
  __m256i v;
};
inline Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
inline Vec splat(float a) { return {_mm256_set1_ps(a)}; }
inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Vec floor(Vec a) { return {_mm256_floor_ps(a.v)}; }
inline Vec fused_multiply_add(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec step_up(Vec n, Vec d, Vec a) {
  const __m256 next = _mm256_add_ps(n.v, _mm256_set1_ps(1.0f));
  const __m256 rest = _mm256_fnmadd_ps(next, d.v, a.v);
  return {_mm256_blendv_ps(n.v, next, _mm256_cmp_ps(rest, _mm256_setzero_ps(), _CMP_GE_OQ))};
}
inline bool any_nan(Vec a, Vec b) { return _mm256_movemask_ps(_mm256_cmp_ps(a.v, b.v, _CMP_UNORD_Q)) != 0; }
inline bool any_above(Vec a, float bound) { return _mm256_movemask_ps(_mm256_cmp_ps(a.v, _mm256_set1_ps(bound), _CMP_GT_OQ)) != 0; }
inline Vec nearest(Vec a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline Vec larger_magnitude(Vec a, Vec b) {
  const __m256i magnitude = _mm256_and_si256(_mm256_castps_si256(b.v), _mm256_set1_epi32(0x7fffffff));
  return {_mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a.v), magnitude))};
}
inline void store_int8(int8_t* p, const Vec (&a)[4], const int32_t (&zero_point)[4], ByteRange range) {
  __m256i n[4];
  for (int i = 0; i < 4; ++i) n[i] = _mm256_add_epi32(_mm256_cvtps_epi32(a[i].v), _mm256_set1_epi32(zero_point[i]));
  __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(n[0], n[1]), _mm256_packs_epi32(n[2], n[3]));
  bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, _mm256_set1_epi8(range.low)), _mm256_set1_epi8(range.high));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bytes);
}
inline void split(const Vec (&a)[4], Eight (&parts)[4]) {
  for (int i = 0; i < 4; ++i) parts[i] = a[i].v;
}
inline IntVec truncated_below(Vec a, uint32_t limit) {
  return {_mm256_min_epu32(_mm256_cvttps_epi32(a.v), _mm256_set1_epi32(static_cast<int>(limit)))};
}
inline void store(uint32_t* p, IntVec a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), a.v); }
inline float least(Vec a) {
  __m128 half = _mm_min_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  half = _mm_min_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
}
inline float greatest(Vec a) { return -least({_mm256_xor_ps(a.v, _mm256_set1_ps(-0.0f))}); }
inline float greatest_magnitude(Vec a) {
  const __m256i whole = _mm256_castps_si256(a.v);
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  half = _mm_max_epi32(half, _mm_unpackhi_epi64(half, half));
  return __builtin_bit_cast(float, _mm_cvtsi128_si32(_mm_max_epi32(half, _mm_shuffle_epi32(half, 1))));
}
inline int count_below_16(const float* p, float bound) {
  const __m256 bounds = _mm256_set1_ps(bound);
  const int low = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p), bounds, _CMP_LT_OQ));
  const int high = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p + 8), bounds, _CMP_LT_OQ));
  return __builtin_popcount(static_cast<unsigned>(low | (high << 8)));
}

#else

// Any processor: loops that the compiler unrolls. Products that must not be rounded are taken in double, which holds
// them exactly: a float times an integer below 2^29.
struct Vec {
  static constexpr int lanes = 8;
  float v[8];
};
struct IntVec {
  uint32_t v[8];
};
template <typename Function>
inline Vec each_lane(Function function) {
  Vec result;
  for (int i = 0; i < Vec::lanes; ++i) result.v[i] = function(i);
  return result;
}
inline Vec load(const float* p) {
  return each_lane([&](int i) { return p[i]; });
}
inline void store(float* p, Vec a) {
  for (int i = 0; i < Vec::lanes; ++i) p[i] = a.v[i];
}
inline Vec splat(float a) {
  return each_lane([&](int) { return a; });
}
inline Vec operator+(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] + b.v[i]; });
}
inline Vec operator-(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] - b.v[i]; });
}
inline Vec operator*(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] * b.v[i]; });
}
inline Vec operator/(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] / b.v[i]; });
}
inline Vec min(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec max(Vec a, Vec b) {
  return each_lane([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec floor(Vec a) {
  return each_lane([&](int i) { return __builtin_floorf(a.v[i]); });
}
inline Vec fused_multiply_add(Vec a, Vec b, Vec c) {
  return each_lane([&](int i) { return __builtin_fmaf(a.v[i], b.v[i], c.v[i]); });
}
inline Vec step_up(Vec n, Vec d, Vec a) {
  return each_lane([&](int i) {
    const float next = n.v[i] + 1.0f;
    return static_cast<double>(next) * static_cast<double>(d.v[i]) <= static_cast<double>(a.v[i]) ? next : n.v[i];
  });
}
inline bool any_nan(Vec a, Vec b) {
  bool found = false;
  for (int i = 0; i < Vec::lanes; ++i) found |= !(a.v[i] == a.v[i]) | !(b.v[i] == b.v[i]);
  return found;
}
inline bool any_above(Vec a, float bound) {
  bool found = false;
  for (int i = 0; i < Vec::lanes; ++i) found |= a.v[i] > bound;
  return found;
}
// Adding 1.5 * 2^23 leaves no fraction bits: the sum is rounded half to even.
inline Vec nearest(Vec a) {
  return each_lane([&](int i) { return (a.v[i] + 12582912.0f) - 12582912.0f; });
}
inline Vec larger_magnitude(Vec a, Vec b) {
  return each_lane([&](int i) {
    const float magnitude = __builtin_fabsf(b.v[i]);
    return a.v[i] >= magnitude || !(a.v[i] == a.v[i]) ? a.v[i] : magnitude;
  });
}
inline void store_int8(int8_t* p, const Vec (&a)[4], const int32_t (&zero_point)[4], ByteRange range) {
  for (int i = 0; i < 4; ++i)
    for (int lane = 0; lane < Vec::lanes; ++lane) {
      const int32_t n = static_cast<int32_t>(nearest(a[i]).v[lane]) + zero_point[i];
      p[i * Vec::lanes + lane] = static_cast<int8_t>(n < range.low ? range.low : n > range.high ? range.high : n);
    }
}
inline void split(const Vec (&a)[4], Eight (&parts)[4]) { __builtin_memcpy(parts, a, sizeof(parts)); }
inline IntVec truncated_below(Vec a, uint32_t limit) {
  IntVec result;
  for (int i = 0; i < Vec::lanes; ++i) {
    // NaN and negative values end at the limit, as in the vector forms.
    const bool inside = a.v[i] > -1.0f && a.v[i] < static_cast<float>(limit);
    result.v[i] = inside ? static_cast<uint32_t>(static_cast<int32_t>(a.v[i])) : limit;
  }
  return result;
}
inline void store(uint32_t* p, IntVec a) {
  for (int i = 0; i < Vec::lanes; ++i) p[i] = a.v[i];
}
inline float least(Vec a) {
  float result = a.v[0];
  for (int i = 1; i < Vec::lanes; ++i) result = a.v[i] < result ? a.v[i] : result;
  return result;
}
inline float greatest(Vec a) {
  float result = a.v[0];
  for (int i = 1; i < Vec::lanes; ++i) result = a.v[i] > result ? a.v[i] : result;
  return result;
}
inline float greatest_magnitude(Vec a) {
  float result = a.v[0];
  for (int i = 1; i < Vec::lanes; ++i) result = result >= a.v[i] || !(result == result) ? result : a.v[i];
  return result;
}
inline int count_below_16(const float* p, float bound) {
  int count = 0;
  for (int i = 0; i < 16; ++i) count += p[i] < bound;
  return count;
}

#endif

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
