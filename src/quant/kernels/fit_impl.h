// Scales of groups by least squares. Part of kernels_impl.h.
namespace intaglio::quant::INTAGLIO_ISA {
namespace {

// What one scale does to a group: sums of w*q and q*q, for q = clamp(round(w / scale), low, high).
struct Fit {
  float wq, qq;
};

// The scale with what stands in for a division by it.
struct Divisor {
  float scale, inverse;
};
// Of a scale whose inverse is a normal number.
inline bool has_inverse(float scale) { return scale < 0x1p100f; }

// A product with the inverse is off by less than 2^-15 where it matters, so it rounds to the same integer as the quotient unless it lies
// that near to a half.
constexpr float near_half = 0.5f - 0x1p-15f;

template <int count>
inline void round_quotients(const float* __restrict w, const Divisor& by, const GroupStep& step, float* __restrict q) {
  unsigned is_near_half = !has_inverse(by.scale);
  for (int i = 0; i < count; ++i) {
    const float product = clamped(w[i] * by.inverse, step.low, step.high);
    q[i] = rounded(product);
    is_near_half |= __builtin_fabsf(product - q[i]) > near_half;
  }
  if (is_near_half == 0) return;
  for (int i = 0; i < count; ++i) q[i] = rounded(clamped(w[i] / by.scale, step.low, step.high));
}

template <int columns>
inline void add_row(const float* __restrict w, const Divisor& by, const GroupStep& step, float* __restrict wq, float* __restrict qq) {
  float q[columns];
  round_quotients<columns>(w, by, step, q);
  for (int c = 0; c < columns; ++c) {
    wq[c] += w[c] * q[c];
    qq[c] += q[c] * q[c];
  }
}

// Adds the sums of `columns` interleaved columns over `rows` rows, each column by itself, as PyTorch sums the innermost
// dimension: long columns in four levels, so that large sums are not added to small terms.
constexpr unsigned level_bits = 4;  // fewer than 2^19 rows
constexpr size_t level = size_t{1} << level_bits;
template <int columns>
inline void add_rows(const float* __restrict w, size_t rows, const Divisor& by, const GroupStep& step, float* __restrict wq,
                     float* __restrict qq) {
  if (rows < level) {
    for (size_t row = 0; row < rows; ++row) add_row<columns>(w + row * columns, by, step, wq, qq);
    return;
  }
  float upper_wq[3][columns] = {}, upper_qq[3][columns] = {};
  for (size_t row = 0; row < rows;) {
    add_row<columns>(w + row * columns, by, step, wq, qq);
    ++row;
    if (row % level != 0) continue;
    for (unsigned up = 0; up < 3; ++up) {
      float *from_wq = up == 0 ? wq : upper_wq[up - 1], *from_qq = up == 0 ? qq : upper_qq[up - 1];
      for (int c = 0; c < columns; ++c) {
        upper_wq[up][c] += from_wq[c];
        upper_qq[up][c] += from_qq[c];
        from_wq[c] = from_qq[c] = 0.0f;
      }
      if ((row >> (level_bits * (up + 1))) % level != 0) break;
    }
  }
  for (int up = 0; up < 3; ++up)
    for (int c = 0; c < columns; ++c) {
      wq[c] += upper_wq[up][c];
      qq[c] += upper_qq[up][c];
    }
}

// Four accumulators of `lanes` columns; what is left of whole rows goes to the first of them, what is left of that is added last.
template <int lanes>
inline Fit fit(const float* __restrict w, size_t size, float scale, const GroupStep& step) {
  float wq[4 * lanes] = {}, qq[4 * lanes] = {};
  const size_t rows = size / (4 * lanes), whole = size / lanes * lanes;
  const Divisor by{scale, 1.0f / scale};
  add_rows<4 * lanes>(w, rows, by, step, wq, qq);
  for (size_t i = rows * 4 * lanes; i < whole; i += lanes) add_row<lanes>(w + i, by, step, wq, qq);
  Fit sum{0.0f, 0.0f};
  for (size_t i = whole; i < size; ++i) add_row<1>(w + i, by, step, &sum.wq, &sum.qq);
  for (int c = 0; c < lanes; ++c) {
    sum.wq += ((wq[c] + wq[lanes + c]) + wq[2 * lanes + c]) + wq[3 * lanes + c];
    sum.qq += ((qq[c] + qq[lanes + c]) + qq[2 * lanes + c]) + qq[3 * lanes + c];
  }
  return sum;
}

// Groups that are fitted side by side: a step waits for the one before it, but not for those of other groups.
constexpr size_t together = 8;

// Element i of part k becomes element k of part i.
inline void transpose(Eight (&p)[8]) {
  Eight a[8], b[8];
  for (int i = 0; i < 8; i += 2) {
    a[i] = __builtin_shufflevector(p[i], p[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
    a[i + 1] = __builtin_shufflevector(p[i], p[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
  }
  for (int i = 0; i < 8; i += 4)
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = __builtin_shufflevector(a[i + j], a[i + j + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      b[i + 2 * j + 1] = __builtin_shufflevector(a[i + j], a[i + j + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
  for (int i = 0; i < 4; ++i) {
    p[i] = __builtin_shufflevector(b[i], b[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    p[i + 4] = __builtin_shufflevector(b[i], b[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}

struct Fits {
  Eight wq, qq;
};

// The same of eight groups whose rows are whole and fewer than a level. Sums of q*q are exact there, in any order.
inline void fit_together(const float* const (&w)[together], size_t size, const float (&scale)[together], const float (&inverse)[together],
                         const GroupStep& step, Fits& sums) {
  constexpr int parts = 32 / Vec::lanes;
  const Vec low = splat(step.low), high = splat(step.high);
  Eight wq[together], qq[together];
  for (size_t g = 0; g < together; ++g) {
    const Vec factor = splat(inverse[g]);
    Vec products[parts], squares[parts], off = splat(0.0f);
    for (int j = 0; j < parts; ++j) products[j] = squares[j] = splat(0.0f);
    for (size_t i = 0; i < size; i += 32)
      for (int j = 0; j < parts; ++j) {
        const Vec v = load(w[g] + i + static_cast<size_t>(j * Vec::lanes));
        const Vec product = min(max(v * factor, low), high), q = nearest(product);
        off = larger_magnitude(off, product - q);
        products[j] = products[j] + v * q;
        squares[j] = squares[j] + q * q;
      }
    Eight p[4], s[4];
    split(products, p);
    split(squares, s);
    wq[g] = ((p[0] + p[1]) + p[2]) + p[3];
    qq[g] = (s[0] + s[1]) + (s[2] + s[3]);
    if (!has_inverse(scale[g]) || any_above(off, near_half)) {
      const Fit sum = fit<8>(w[g], size, scale[g], step);
      wq[g] = Eight{sum.wq};
      qq[g] = Eight{sum.qq};
    }
  }
  transpose(wq);
  transpose(qq);
  sums = {wq[0], qq[0]};
  for (size_t lane = 1; lane < together; ++lane) {
    sums.wq += wq[lane];
    sums.qq += qq[lane];
  }
}

// One step of the groups `moving`; those that it changes are moved to the front, and their number is returned.
size_t step_scales(const float* w, size_t size, const GroupStep& step, uint8_t number, uint16_t* moving, size_t count, float* scale,
                   uint8_t* steps, float& change) {
  const bool is_whole = size % 32 == 0 && size / 32 < level;
  const auto sums_of = size >= 8 ? fit<8> : fit<1>;
  const float eps = 0x1p-23f;
  size_t left = 0;
  for (size_t first = 0; first < count; first += together) {
    const float* values[together];
    size_t at[together];
    float before[together], inverse[together], next[together], wq[together], qq[together];
    for (size_t k = 0; k < together; ++k) {
      // What is left of eight is filled with the last one: twice the same changes nothing.
      at[k] = moving[first + k < count ? first + k : count - 1];
      values[k] = w + at[k] * size;
      before[k] = scale[at[k]];
    }
    for (size_t k = 0; k < together; ++k) inverse[k] = 1.0f / before[k];
    if (is_whole) {
      Fits sums;
      fit_together(values, size, before, inverse, step, sums);
      __builtin_memcpy(wq, &sums.wq, sizeof(wq));
      __builtin_memcpy(qq, &sums.qq, sizeof(qq));
    } else {
      for (size_t k = 0; k < together && first + k < count; ++k) {
        const Fit sum = sums_of(values[k], size, before[k], step);
        wq[k] = sum.wq, qq[k] = sum.qq;
      }
    }
    for (size_t k = 0; k < together; ++k) {
      next[k] = qq[k] > 0.0f ? wq[k] / qq[k] : before[k];
      next[k] = next[k] < eps ? eps : next[k];
    }
    for (size_t k = 0; k < together && first + k < count; ++k) {
      const float relative = __builtin_fabsf(next[k] - before[k]) / (before[k] < eps ? eps : before[k]);
      change = relative > change ? relative : change;
      scale[at[k]] = next[k];
      steps[at[k]] = number;
      moving[left] = static_cast<uint16_t>(at[k]);
      left += next[k] != before[k];
    }
  }
  return left;
}

void refine_scales(const float* w, size_t groups, size_t size, GroupStep step, int limit, float* scale, uint8_t* steps, float* change) {
  // As many at a time as stay in the first cache.
  constexpr size_t most = 128;
  for (size_t first = 0; first < groups; first += most) {
    uint16_t moving[most];
    size_t count = first + most < groups ? most : groups - first;
    for (size_t g = 0; g < count; ++g) moving[g] = static_cast<uint16_t>(g);
    for (int i = 0; i < limit && count > 0; ++i)
      count = step_scales(w + first * size, size, step, static_cast<uint8_t>(i), moving, count, scale + first, steps + first, change[i]);
    for (size_t k = 0; k < count; ++k) steps[first + moving[k]] = static_cast<uint8_t>(limit);
  }
}

void quantize_scaled_groups(const float* __restrict w, size_t groups, size_t size, const float* __restrict scale, GroupStep step,
                            int8_t* __restrict q) {
  for (size_t g = 0; g < groups; ++g) {
    const Divisor by{scale[g], 1.0f / scale[g]};
    size_t i = g * size;
    const size_t end = i + size;
    constexpr int block = 32;
    for (; i + block <= end; i += block) {
      float nearest_integer[block];
      round_quotients<block>(w + i, by, step, nearest_integer);
      for (int j = 0; j < block; ++j) q[i + static_cast<size_t>(j)] = static_cast<int8_t>(static_cast<int32_t>(nearest_integer[j]));
    }
    for (; i < end; ++i) q[i] = static_cast<int8_t>(static_cast<int32_t>(rounded(clamped(w[i] / by.scale, step.low, step.high))));
  }
}

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
