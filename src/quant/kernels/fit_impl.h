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

// The same of eight groups, `at` of w, whose rows are whole and fewer than a level. Sums of q*q are exact there, in any order.
inline void fit_together(const float* w, size_t size, const uint16_t* at, const Eight& scale, const GroupStep& step, Fits& sums) {
  constexpr int parts = 32 / Vec::lanes;
  const Vec low = splat(step.low), high = splat(step.high);
  const Eight inverse = 1.0f / scale;
  Eight wq[together], qq[together];
  for (size_t g = 0; g < together; ++g) {
    const float* values = w + at[g] * size;
    const Vec factor = splat(inverse[g]);
    Vec products[parts], squares[parts], off = splat(0.0f);
    for (int j = 0; j < parts; ++j) products[j] = squares[j] = splat(0.0f);
    for (size_t i = 0; i < size; i += 32)
      for (int j = 0; j < parts; ++j) {
        const Vec v = load(values + i + static_cast<size_t>(j * Vec::lanes));
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
    if (any_above(off, near_half)) {
      const Fit sum = fit<8>(values, size, scale[g], step);
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

inline bool have_inverses(const Eight& scale) {
  bool all = true;
  for (size_t k = 0; k < together; ++k) all &= has_inverse(scale[k]);
  return all;
}

// One step of the groups `moving`, behind which there is room for eight; those that it changes are moved to the front, and their number
// is returned.
size_t step_scales(const float* w, size_t size, const GroupStep& step, uint8_t number, uint16_t* moving, size_t count, float* scale,
                   uint8_t* steps, float& change) {
  const bool is_whole = size % 32 == 0 && size / 32 < level;
  const auto sums_of = size >= 8 ? fit<8> : fit<1>;
  constexpr float eps = 0x1p-23f;
  // What is left of eight is filled with the last one: twice the same changes nothing.
  for (size_t k = 0; k < together; ++k) moving[count + k] = moving[count - 1];
  Eight largest{};
  size_t left = 0;
  for (size_t first = 0; first < count; first += together) {
    uint16_t at[together];
    __builtin_memcpy(at, moving + first, sizeof(at));
    Eight before;
    for (size_t k = 0; k < together; ++k) before[k] = scale[at[k]];
    Fits sums;
    if (is_whole && have_inverses(before)) fit_together(w, size, at, before, step, sums);
    else
      for (size_t k = 0; k < together; ++k) {
        const Fit sum =
            k > 0 && at[k] == at[k - 1] ? Fit{sums.wq[k - 1], sums.qq[k - 1]} : sums_of(w + at[k] * size, size, before[k], step);
        sums.wq[k] = sum.wq;
        sums.qq[k] = sum.qq;
      }
    Eight next = sums.qq > 0.0f ? sums.wq / sums.qq : before;
    next = next < eps ? Eight{} + eps : next;
    const Eight difference = next - before, relative = (difference < 0.0f ? -difference : difference) / before;
    largest = relative > largest ? relative : largest;
    const size_t own = count - first < together ? count - first : together;
    for (size_t k = 0; k < own; ++k) {
      scale[at[k]] = next[k];
      steps[at[k]] = number;
      moving[left] = at[k];
      left += next[k] != before[k];
    }
  }
  for (size_t k = 0; k < together; ++k) change = largest[k] > change ? largest[k] : change;
  return left;
}

void refine_scales(const float* w, size_t groups, size_t size, GroupStep step, int limit, float* scale, uint8_t* steps, float* change) {
  // As many at a time as stay in the first cache.
  constexpr size_t most = 128;
  for (size_t first = 0; first < groups; first += most) {
    uint16_t moving[most + together];
    size_t count = first + most < groups ? most : groups - first;
    for (size_t g = 0; g < count; ++g) moving[g] = static_cast<uint16_t>(g);
    for (int i = 0; i < limit && count > 0; ++i)
      count = step_scales(w + first * size, size, step, static_cast<uint8_t>(i), moving, count, scale + first, steps + first, change[i]);
    for (size_t k = 0; k < count; ++k) steps[first + moving[k]] = static_cast<uint8_t>(limit);
  }
}

void quantize_scaled_groups(const float* __restrict w, size_t groups, size_t size, const float* __restrict scale, GroupStep step,
                            int8_t* __restrict q) {
  constexpr size_t most = 16;
  const int8_t zero_points[most] = {};
  for (size_t first = 0; first < groups; first += most) {
    const size_t count = first + most < groups ? most : groups - first;
    float inverse[most];
    bool is_safe = true;
    for (size_t g = 0; g < count; ++g) {
      inverse[g] = 1.0f / scale[first + g];
      is_safe &= has_inverse(scale[first + g]);
    }
    const float *values = w + first * size, *own = scale + first;
    int8_t* codes = q + first * size;
    size_t done = is_safe && size == 32 ? quantize_blocks<true>(values, count * size, {inverse, zero_points, own, 1}, step, codes) : 0;
    for (size_t g = done / size; g < count; ++g) {
      size_t i = g * size;
      if (is_safe) i += quantize_blocks<true>(values + i, size, {inverse + g, zero_points, own + g, 0}, step, codes + i);
      for (; i < (g + 1) * size; ++i) codes[i] = rounded_quotient(values[i], own[g], step);
    }
  }
}

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
