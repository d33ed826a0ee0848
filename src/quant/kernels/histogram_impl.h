// Loops over values and bins of a histogram. Part of kernels_impl.h.
namespace intaglio::quant::INTAGLIO_ISA {
namespace {

// bin = trunc(((x - low) * bins) / (high - low)), every operation rounded to float32; high itself is in the last bin.
inline IntVec bins_of(Vec x, Vec low, Vec width) {
  return truncated_below(((x - low) * splat(histogram_bins)) / width, histogram_bins - 1);
}

inline void count_scalar(const float* x, size_t count, float low, float high, uint32_t* counts, MinMax& range) {
  for (size_t i = 0; i < count; ++i) {
    add_scalar(range, x[i]);
    const float position = ((x[i] - low) * static_cast<float>(histogram_bins)) / (high - low);
    const bool inside = position > -1.0f && position < static_cast<float>(histogram_bins - 1);
    ++counts[inside ? static_cast<uint32_t>(static_cast<int32_t>(position)) : histogram_bins - 1];
  }
}

// Neighbouring values often fall into one bin, and a count must be stored before it is loaded again: eight histograms
// take turns. Their counters are narrow, so that all fit the first-level cache, and emptied before one can overflow.
// One cache line between them keeps equal bins out of one cache set.
constexpr size_t turns = 8;
constexpr size_t turn_stride = histogram_bins + 32;
constexpr size_t counters_hold = turns * 65535;
static_assert(Vec::lanes % turns == 0);

struct PartialCounts {
  alignas(64) uint16_t counts[turns * turn_stride];

  PartialCounts() { __builtin_memset(counts, 0, sizeof(counts)); }
  void move_to(uint32_t* out) {
    for (size_t t = 0; t < turns; ++t) {
      const uint16_t* one = counts + t * turn_stride;
      for (size_t b = 0; b < histogram_bins; ++b) out[b] += one[b];
    }
    __builtin_memset(counts, 0, sizeof(counts));
  }
};

MinMax count_bins(const float* x, size_t count, float low, float high, uint32_t* counts) {
  MinMax range{__builtin_inff(), -__builtin_inff(), false};
  constexpr size_t block = 2 * Vec::lanes;
  size_t i = 0;
  if (count >= 4096) {
    PartialCounts partial;
    const Vec lows = splat(low);
    const Vec width = splat(high - low);
    RangeScan scans[2];
    alignas(64) uint32_t bins[block];
    while (i + block <= count) {
      const size_t left = count - i;
      const size_t end = i + (left < counters_hold ? left : counters_hold);
      for (; i + block <= end; i += block) {
        const Vec a = load(x + i);
        const Vec b = load(x + i + Vec::lanes);
        store(bins, bins_of(a, lows, width));
        store(bins + Vec::lanes, bins_of(b, lows, width));
        scans[0].add(a);
        scans[1].add(b);
        range.has_nan |= any_nan(a, b);
        // Through memory: taking lanes out of vector registers one by one costs three times as much.
        asm volatile("" : "+m"(bins));
#pragma GCC unroll 32
        for (size_t j = 0; j < block; j += 2) {
          uint64_t pair;
          __builtin_memcpy(&pair, bins + j, sizeof(pair));
          ++partial.counts[(j % turns) * turn_stride + static_cast<uint32_t>(pair)];
          ++partial.counts[((j + 1) % turns) * turn_stride + (pair >> 32)];
        }
      }
      partial.move_to(counts);
    }
    fold(scans[0], range);
    fold(scans[1], range);
  }
  count_scalar(x + i, count - i, low, high, counts, range);
  return range;
}

// Terms of 32 bins are added to 32 running sums; after 16 rows these move up a level, so that large sums are not added
// to small terms. Rows where `rows` has no bit are zero. This is the order in which PyTorch sums 2048 values.
template <typename Term>
inline float sum_of_bins(uint64_t rows, Term term) {
  constexpr int columns = 32 / Vec::lanes;
  Vec upper[columns];
  for (Vec& sum : upper) sum = splat(0.0f);
  for (int level = 0; level < 4; ++level) {
    Vec lower[columns];
    for (Vec& sum : lower) sum = splat(0.0f);
    for (int row = level * 16; row < level * 16 + 16; ++row) {
      if (!((rows >> row) & 1)) continue;
      for (int column = 0; column < columns; ++column) { lower[column] = lower[column] + term(row * 32 + column * Vec::lanes); }
    }
    for (int column = 0; column < columns; ++column) upper[column] = upper[column] + lower[column];
  }
  float sums[32];
  for (int column = 0; column < columns; ++column) store(sums + column * Vec::lanes, upper[column]);
  float total = 0.0f;
  for (int lane = 0; lane < 8; ++lane) total += ((sums[lane] + sums[8 + lane]) + sums[16 + lane]) + sums[24 + lane];
  return total;
}

float sum_bins(const float* values) {
  return sum_of_bins(~uint64_t{0}, [&](int i) { return load(values + i); });
}

inline Vec cube(Vec a) { return (a * a) * a; }

// The destination bin of x: floor(x / width) within [0, last], exact. The estimate is never above the quotient and less
// than one below it, so that one exact comparison decides; capped below the last bin, which is then one step up.
inline Vec destination(Vec x, Vec width, Vec below_inverse, Vec cap) {
  const Vec estimate = floor(min(max(x * below_inverse, splat(0.0f)), cap));
  return step_up(estimate, width, x);
}

float quantization_error(const ErrorInput& in) {
  const Vec bin_width = splat(in.bin_width);
  const Vec width = splat(in.destination_width);
  const Vec below_inverse = splat((1.0f / in.destination_width) * (1.0f - 0x1p-22f));
  const Vec half = splat(in.half_width);
  const Vec cap = splat(static_cast<float>(in.destination_bins) - 1.5f);
  const Vec start = splat(static_cast<float>(in.start));
  const Vec three = splat(3.0f);
  const Vec half_cube = cube(half);
  const Vec minus_half_cube = cube(splat(-in.half_width));
  const Vec whole_bin = (half_cube - minus_half_cube) / three;
  return sum_of_bins(in.rows, [&](int i) {
    const Vec density = load(in.density + i);
    const Vec begin = (load(in.bin_index + i) - start) * bin_width;
    const Vec end = begin + bin_width;
    const Vec first_bin = destination(begin, width, below_inverse, cap);
    const Vec last_bin = destination(end, width, below_inverse, cap);
    const Vec from_begin = begin - (first_bin + splat(0.5f)) * width;
    const Vec to_end = end - (last_bin * width + half);
    Vec norm = density * ((half_cube - cube(from_begin)) / three);
    norm = norm + ((last_bin - first_bin) - splat(1.0f)) * (density * whole_bin);
    return norm + density * ((cube(to_end) - minus_half_cube) / three);
  });
}

// Evenly spaced values; the first half counts from `first`, the second from `last`, each by one fused operation.
void linspace(float first, float last, size_t count, float* out) {
  const float step = (last - first) / static_cast<float>(count - 1);
  const int half = static_cast<int>(count / 2);
  const int whole = static_cast<int>(count);
  for (int i = 0; i < half; ++i) out[i] = __builtin_fmaf(step, static_cast<float>(i), first);
  for (int i = half; i < whole; ++i) out[i] = __builtin_fmaf(-step, static_cast<float>(whole - 1 - i), last);
}

// True when x is a multiple of the last place of values near `magic`, 1.5 times a power of two.
inline bool on_grid(float x, float magic) { return (x + magic) - magic == x; }

// Adds `part` sixteen times, one after the other with a rounding each: `below` times to bin[0], the others to bin[1].
inline void add_parts(float part, int below, float* bin) {
  float here = bin[0], next = bin[1];
  const float most = (here + next) + 16.0f * part;
  uint32_t bits;
  __builtin_memcpy(&bits, &most, sizeof(bits));
  bits = (bits & 0x7f800000u) | 0x00400000u;
  float magic;
  __builtin_memcpy(&magic, &bits, sizeof(magic));
  if (on_grid(here, magic) && on_grid(next, magic) && on_grid(part, magic)) {
    // No partial sum needs a bit below the last place of the largest: nothing is rounded, the order does not matter.
    bin[0] = here + static_cast<float>(below) * part;
    bin[1] = next + static_cast<float>(16 - below) * part;
    return;
  }
  for (int k = 0; k < 16; ++k) {
    // Adding zero, which changes nothing, in place of a branch that no predictor gets right.
    here += k < below ? part : 0.0f;
    next += k < 16 - below ? part : 0.0f;
  }
  bin[0] = here;
  bin[1] = next;
}

inline size_t walk_to(const float* bounds, float value, size_t bin) {
  while (bin + 1 < histogram_bins && bounds[bin + 1] <= value) ++bin;
  while (bin > 0 && bounds[bin] > value) --bin;
  return bin;
}

void widen(const float* counts, const float* centres, const float* bounds, float* out) {
  size_t bin = 0;
  for (size_t i = 0; i < histogram_bins; ++i, centres += 16) {
    if (counts[i] == 0.0f) continue;
    const float part = counts[i] / 16.0f;
    bin = walk_to(bounds, centres[0], bin);
    if (bin + 1 < histogram_bins && count_below_16(centres, bounds[bin]) == 0 && count_below_16(centres, bounds[bin + 2]) == 16) {
      add_parts(part, count_below_16(centres, bounds[bin + 1]), out + bin);
      continue;
    }
    for (size_t k = 0; k < 16; ++k) {
      bin = walk_to(bounds, centres[k], bin);
      out[bin] += part;
    }
  }
}

}  // namespace
}  // namespace intaglio::quant::INTAGLIO_ISA
