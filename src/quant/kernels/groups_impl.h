// Loops over groups of a weight: `size` elements in a row that share a scale. Part of kernels_impl.h.
namespace intaglio::quant::INTAGLIO_ISA {
namespace {

void group_ranges(const float* x, size_t groups, size_t size, float* low, float* high) {
  for (size_t g = 0; g < groups; ++g, x += size) {
    RangeScan scan;
    bool has_nan = false;
    size_t i = 0;
    for (; i + Vec::lanes <= size; i += Vec::lanes) {
      const Vec v = load(x + i);
      scan.add(v);
      has_nan |= any_nan(v, v);
    }
    MinMax range{least(scan.low), greatest(scan.high), has_nan};
    for (; i < size; ++i) add_scalar(range, x[i]);
    low[g] = range.has_nan ? __builtin_nanf("") : range.min;
    high[g] = range.has_nan ? __builtin_nanf("") : range.max;
  }
}

// Rounded to a float of `dropped` bits less, half to even. What overflows that type's exponent stays finite.
inline float without_bits(float value, unsigned dropped) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  bits += (uint32_t{1} << (dropped - 1)) - 1 + ((bits >> dropped) & 1);
  bits &= ~((uint32_t{1} << dropped) - 1);
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

inline float clamped(float value, float low, float high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}
// Adding 1.5 * 2^23 leaves no fraction bits: the sum is rounded half to even.
inline float rounded(float value) { return (value + 12582912.0f) - 12582912.0f; }

template <bool narrow>
void quantize_group(const float* __restrict x, size_t size, float inverse, float zero_point, const GroupStep& step, int8_t* __restrict q) {
  const float low = step.low - zero_point, high = step.high - zero_point;
  for (size_t i = 0; i < size; ++i) {
    float value = x[i] * inverse;
    if (narrow) value = without_bits(value, step.dropped_bits);
    value = rounded(clamped(value, low, high)) + zero_point;
    q[i] = static_cast<int8_t>(value == value ? static_cast<int32_t>(value) : 0);
  }
}

void quantize_groups(const float* x, size_t groups, size_t size, const float* inverse, const int8_t* zero_point, GroupStep step,
                     int8_t* q) {
  const auto quantize = step.dropped_bits == 0 ? quantize_group<false> : quantize_group<true>;
  for (size_t g = 0; g < groups; ++g) quantize(x + g * size, size, inverse[g], static_cast<float>(zero_point[g]), step, q + g * size);
}

// What one scale does to a group: sums of w*q and q*q, for q = clamp(round(w / scale), low, high).
struct Fit {
  float wq, qq;
};

// The scale with what stands in for a division by it.
struct Divisor {
  float scale, inverse;
  bool is_safe;  // the inverse is a normal number
};
inline Divisor divisor(float scale) { return {scale, 1.0f / scale, scale < 0x1p100f}; }

// q = clamp(round(w / scale), low, high). A product with the inverse is off by less than 2^-15 where it matters, so it rounds to the same
// integer unless it lies that near to a half: only then is anything divided.
template <int count>
inline void round_quotients(const float* __restrict w, const Divisor& by, const GroupStep& step, float* __restrict q) {
  unsigned is_near_half = !by.is_safe;
  for (int i = 0; i < count; ++i) {
    const float product = clamped(w[i] * by.inverse, step.low - 1.0f, step.high + 1.0f), nearest = rounded(product);
    is_near_half |= __builtin_fabsf(product - nearest) > 0.5f - 0x1p-15f;
    q[i] = clamped(nearest, step.low, step.high);
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
template <int columns>
inline void add_rows(const float* __restrict w, size_t rows, const Divisor& by, const GroupStep& step, float* __restrict wq,
                     float* __restrict qq) {
  constexpr unsigned level_bits = 4;  // fewer than 2^19 rows
  constexpr size_t level = size_t{1} << level_bits;
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
  const Divisor by = divisor(scale);
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

int refine_scale(const float* w, size_t size, GroupStep step, int limit, float* scale, float* change) {
  const auto sums = size >= 8 ? fit<8> : fit<1>;
  const float eps = 0x1p-23f;
  for (int i = 0; i < limit; ++i) {
    const float before = *scale;
    const Fit sum = sums(w, size, before, step);
    float next = sum.qq > 0.0f ? sum.wq / sum.qq : before;
    next = next < eps ? eps : next;
    if (next == before) return i;
    const float relative = __builtin_fabsf(next - before) / (before < eps ? eps : before);
    change[i] = relative > change[i] ? relative : change[i];
    *scale = next;
  }
  return limit;
}

void quantize_scaled_groups(const float* __restrict w, size_t groups, size_t size, const float* __restrict scale, GroupStep step,
                            int8_t* __restrict q) {
  for (size_t g = 0; g < groups; ++g)
    for (size_t i = g * size; i < (g + 1) * size; ++i)
      q[i] = static_cast<int8_t>(static_cast<int32_t>(rounded(clamped(w[i] / scale[g], step.low, step.high))));
}

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
