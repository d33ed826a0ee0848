// Smallest and largest value in one pass. Part of kernels_impl.h.
namespace intaglio::quant::INTAGLIO_ISA {
namespace {

// Running extremes of a stream of vectors. NaN does not enter min and max: it is seen by comparison.
struct RangeScan {
  Vec low = splat(__builtin_inff());
  Vec high = splat(-__builtin_inff());

  void add(Vec x) {
    low = min(x, low);
    high = max(x, high);
  }
};

inline void add_scalar(MinMax& range, float x) {
  if (x < range.min) range.min = x;
  if (x > range.max) range.max = x;
  range.has_nan |= x != x;
}

inline void fold(const RangeScan& scan, MinMax& range) {
  const float low = least(scan.low), high = greatest(scan.high);
  range.min = low < range.min ? low : range.min;
  range.max = high > range.max ? high : range.max;
}

MinMax min_max(const float* x, size_t count) {
  MinMax range{__builtin_inff(), -__builtin_inff(), false};
  constexpr size_t block = 4 * Vec::lanes;
  size_t i = 0;
  if (count >= block) {
    RangeScan scans[4];
    for (; i + block <= count; i += block) {
      Vec v[4];
      for (int j = 0; j < 4; ++j) {
        v[j] = load(x + i + j * Vec::lanes);
        scans[j].add(v[j]);
      }
      range.has_nan |= any_nan(v[0], v[1]);
      range.has_nan |= any_nan(v[2], v[3]);
    }
    for (const RangeScan& scan : scans) fold(scan, range);
  }
  for (; i < count; ++i) add_scalar(range, x[i]);
  return range;
}

// Memory [outer, channels, inner]; min and max hold the ranges so far. True when there is a NaN.
bool min_max_channels(const float* __restrict x, size_t outer, size_t channels, size_t inner, float* __restrict low,
                      float* __restrict high) {
  bool has_nan = false;
  for (size_t o = 0; o < outer; ++o) {
    if (inner == 1) {
      unsigned nan = 0;
      for (size_t c = 0; c < channels; ++c) {
        low[c] = x[c] < low[c] ? x[c] : low[c];
        high[c] = x[c] > high[c] ? x[c] : high[c];
        nan |= x[c] != x[c];
      }
      has_nan |= nan != 0;
      x += channels;
      continue;
    }
    for (size_t c = 0; c < channels; ++c, x += inner) {
      const MinMax range = min_max(x, inner);
      if (range.min < low[c]) low[c] = range.min;
      if (range.max > high[c]) high[c] = range.max;
      has_nan |= range.has_nan;
    }
  }
  return has_nan;
}

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
