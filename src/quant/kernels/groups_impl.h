// Loops over groups of a weight: `size` elements in a row that share a scale. Part of kernels_impl.h.
namespace intaglio::quant::INTAGLIO_ISA {
namespace {

void group_ranges(const float* x, size_t groups, size_t size, float* low, float* high) {
  for (size_t g = 0; g < groups; ++g, x += size) {
    RangeScan scan;
    Vec largest = splat(0.0f);
    size_t i = 0;
    for (; i + Vec::lanes <= size; i += Vec::lanes) {
      const Vec v = load(x + i);
      scan.add(v);
      largest = larger_magnitude(largest, v);
    }
    MinMax range{least(scan.low), greatest(scan.high), any_nan(largest, largest)};
    for (; i < size; ++i) add_scalar(range, x[i]);
    low[g] = range.has_nan ? __builtin_nanf("") : range.min;
    high[g] = range.has_nan ? __builtin_nanf("") : range.max;
  }
}

void group_magnitudes(const float* x, size_t groups, size_t size, float* largest) {
  for (size_t g = 0; g < groups; ++g, x += size) {
    Vec found = splat(0.0f);
    size_t i = 0;
    for (; i + Vec::lanes <= size; i += Vec::lanes) found = larger_magnitude(found, load(x + i));
    if (i < size) {
      float rest[Vec::lanes] = {};
      __builtin_memcpy(rest, x + i, (size - i) * sizeof(float));
      found = larger_magnitude(found, load(rest));
    }
    largest[g] = greatest_magnitude(found);
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

// A product with the inverse of a scale is off by less than 2^-15 where it matters, so it rounds to the same integer as the quotient unless
// it lies that near to a half.
constexpr float near_half = 0.5f - 0x1p-15f;

inline int8_t rounded_quotient(float x, float scale, const GroupStep& step) {
  return static_cast<int8_t>(static_cast<int32_t>(rounded(clamped(x / scale, step.low, step.high))));
}

// The parameters of values: they change after each 32 (advance 1), or never (advance 0).
struct BlockParameters {
  const float* inverse;
  const int8_t* zero_point;
  const float* scale;
  size_t advance;
};

// The first values, as many as whole blocks of four vectors hold; returns how many. Products with the inverse are rounded, or the quotients
// by the scale.
template <bool quotients>
inline size_t quantize_blocks(const float* __restrict x, size_t count, const BlockParameters& by, const GroupStep& step,
                              int8_t* __restrict q) {
  constexpr size_t block = 4 * Vec::lanes;
  const ByteRange range{static_cast<int8_t>(step.low), static_cast<int8_t>(step.high)};
  // Codes are bytes, which might be those of any object: what does not change is held here.
  const float* __restrict inverse = by.inverse;
  const int8_t* __restrict zero_point = by.zero_point;
  const size_t advance = by.advance;
  size_t i = 0;
  for (size_t group = 0; i + block <= count; i += block, group += block / 32 * advance) {
    Vec product[4], off = splat(0.0f);
    int32_t shift[4];
    for (size_t j = 0; j < 4; ++j) {
      const size_t own = group + j * Vec::lanes / 32 * advance;
      product[j] = load(x + i + j * Vec::lanes) * splat(inverse[own]);
      if (quotients) off = larger_magnitude(off, product[j] - nearest(product[j]));
      shift[j] = zero_point[own];
    }
    store_int8(q + i, product, shift, range);
    if (quotients && any_above(off, near_half))
      for (size_t k = i; k < i + block; ++k) q[k] = rounded_quotient(x[k], by.scale[group + (k - i) / 32 * advance], step);
  }
  return i;
}

void quantize_groups(const float* x, size_t groups, size_t size, const float* inverse, const int8_t* zero_point, GroupStep step,
                     int8_t* q) {
  const auto quantize = step.dropped_bits == 0 ? quantize_group<false> : quantize_group<true>;
  size_t first = 0;
  if (step.is_bounded && size == 32) first = quantize_blocks<false>(x, groups * size, {inverse, zero_point, nullptr, 1}, step, q) / size;
  for (size_t g = first; g < groups; ++g) {
    const float* values = x + g * size;
    const size_t done =
        step.is_bounded ? quantize_blocks<false>(values, size, {inverse + g, zero_point + g, nullptr, 0}, step, q + g * size) : 0;
    quantize(values + done, size - done, inverse[g], static_cast<float>(zero_point[g]), step, q + g * size + done);
  }
}

size_t quantize_symmetric(const float* x, size_t groups, size_t size, float half_range, float eps, GroupStep step, float* scale,
                          int8_t* q) {
  // As few at a time as stay in the first cache.
  constexpr size_t most = 16, values = 2048;
  const size_t together = values / size < 1 ? 1 : values / size > most ? most : values / size;
  const int8_t zero_points[most] = {};
  float inverse[most];
  step.is_bounded = true;
  for (size_t first = 0; first < groups; first += together) {
    const size_t count = first + together < groups ? together : groups - first;
    group_magnitudes(x + first * size, count, size, scale + first);
    bool is_finite = true;
    for (size_t g = 0; g < count; ++g) {
      const float found = scale[first + g] / half_range;
      is_finite &= found < __builtin_inff();
      scale[first + g] = found < eps ? eps : found;
      inverse[g] = 1.0f / scale[first + g];
    }
    if (!is_finite)
      for (size_t g = first; g < groups; ++g)
        if (!(scale[g] < __builtin_inff())) return g;
    quantize_groups(x + first * size, count, size, inverse, zero_points, step, q + first * size);
  }
  return groups;
}

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
