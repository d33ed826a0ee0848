// Every instruction set gives the bits of the baseline, on random numbers of every size and shape of distribution; and
// the vectorised search error those of the formula written out.
#include "quant/kernels/kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "quant/histogram.h"

namespace intaglio::quant {
namespace {

class Random {
 public:
  explicit Random(unsigned seed) : generator_(seed) {}
  size_t below(size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(generator_); }
  float unit() { return std::uniform_real_distribution<float>(0.0f, 1.0f)(generator_); }
  // A scale from 2^-20 to 2^20.
  float scale() { return std::ldexp(0.5f + unit(), static_cast<int>(below(41)) - 20); }
  std::vector<float> values(size_t count) {
    const float size = scale();
    const size_t kind = below(4);
    std::normal_distribution<float> normal(0.0f, size);
    std::vector<float> result(count);
    for (float& value : result) {
      value = kind == 0 ? unit() * size : normal(generator_);
      if (kind == 2) value = std::max(value, 0.0f);
      if (kind == 3) value = value * unit() * unit() * unit() * 9.0f;
    }
    return result;
  }

 private:
  std::mt19937 generator_;
};

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

TEST(Kernels, RangesAgree) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> x = random.values(random.below(600));
    if (!x.empty() && round % 3 == 0) x[random.below(x.size())] = std::numeric_limits<float>::quiet_NaN();
    if (!x.empty() && round % 5 == 0) x[random.below(x.size())] = -std::numeric_limits<float>::infinity();
    MinMax expected{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(), false};
    for (float value : x) {
      expected.has_nan |= std::isnan(value);
      expected.min = std::fmin(expected.min, value);
      expected.max = std::fmax(expected.max, value);
    }
    for (const Kernels* set : available_kernels()) {
      const MinMax found = set->min_max(x.data(), x.size());
      EXPECT_EQ(found.min, expected.min) << set->name;
      EXPECT_EQ(found.max, expected.max) << set->name;
      EXPECT_EQ(found.has_nan, expected.has_nan) << set->name;
    }
  }
}

TEST(Kernels, ChannelRangesAgree) {
  Random random(2);
  for (int round = 0; round < 100; ++round) {
    const size_t outer = 1 + random.below(4), channels = 1 + random.below(70), inner = round % 2 ? 1 : 1 + random.below(90);
    const std::vector<float> x = random.values(outer * channels * inner);
    std::vector<float> low(channels, std::numeric_limits<float>::infinity()), high(channels, -low[0]);
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t channel = i / inner % channels;
      low[channel] = std::min(low[channel], x[i]);
      high[channel] = std::max(high[channel], x[i]);
    }
    for (const Kernels* set : available_kernels()) {
      std::vector<float> found_low(channels, std::numeric_limits<float>::infinity()), found_high(channels, -found_low[0]);
      EXPECT_FALSE(set->min_max_channels(x.data(), outer, channels, inner, found_low.data(), found_high.data()));
      EXPECT_EQ(found_low, low) << set->name;
      EXPECT_EQ(found_high, high) << set->name;
    }
  }
}

TEST(Kernels, BinsAreTheFormula) {
  Random random(3);
  for (int round = 0; round < 60; ++round) {
    const std::vector<float> x = random.values(2 + random.below(12000));
    const MinMax range = kernels().min_max(x.data(), x.size());
    if (range.min == range.max) continue;
    std::vector<uint32_t> expected(histogram_bins);
    for (float value : x) {
      const float position = ((value - range.min) * 2048.0f) / (range.max - range.min);
      ++expected[std::min<size_t>(static_cast<size_t>(position), 2047)];
    }
    for (const Kernels* set : available_kernels()) {
      std::vector<uint32_t> counts(histogram_bins);
      const MinMax seen = set->count_bins(x.data(), x.size(), range.min, range.max, counts.data());
      EXPECT_EQ(counts, expected) << set->name;
      EXPECT_EQ(seen.min, range.min);
      EXPECT_EQ(seen.max, range.max);
    }
  }
}

TEST(Kernels, ManyValuesInOneBin) {
  const std::vector<float> x(1200003, 0.5f);
  for (const Kernels* set : available_kernels()) {
    std::vector<uint32_t> counts(histogram_bins);
    set->count_bins(x.data(), x.size(), 0.0f, 1.0f, counts.data());
    EXPECT_EQ(counts[1024], 1200003u) << set->name;
  }
}

TEST(Kernels, ValuesOutsideTheRangeLandInSomeBin) {
  std::vector<float> x(5000, 0.5f);
  x[10] = std::numeric_limits<float>::quiet_NaN();
  x[20] = -7.0f;
  x[30] = 1e30f;
  x[4990] = -std::numeric_limits<float>::infinity();
  for (const Kernels* set : available_kernels()) {
    std::vector<uint32_t> counts(histogram_bins);
    const MinMax seen = set->count_bins(x.data(), x.size(), 0.0f, 1.0f, counts.data());
    EXPECT_TRUE(seen.has_nan);
    EXPECT_EQ(seen.max, 1e30f);
    EXPECT_EQ(counts[1024], 4996u) << set->name;
  }
}

// The reference: PyTorch's floor division through fmod, and one rounding an operation.
float floor_division(float a, float b) {
  const float rest = std::fmod(a, b);
  float quotient = (a - rest) / b;
  if (rest != 0.0f && (b < 0.0f) != (rest < 0.0f)) quotient -= 1.0f;
  if (quotient == 0.0f) return 0.0f;
  float result = std::floor(quotient);
  if (quotient - result > 0.5f) result += 1.0f;
  return result;
}
float cube(float a) { return (a * a) * a; }

std::vector<float> error_terms(const ErrorInput& in) {
  std::vector<float> terms(histogram_bins);
  const float last = static_cast<float>(in.destination_bins - 1), d = in.destination_width, h = in.half_width;
  for (size_t i = 0; i < histogram_bins; ++i) {
    const float x0 = static_cast<float>(static_cast<int>(i) - in.start) * in.bin_width;
    const float x1 = x0 + in.bin_width;
    const float k0 = std::min(std::max(floor_division(x0, d), 0.0f), last);
    const float k1 = std::min(std::max(floor_division(x1, d), 0.0f), last);
    float norm = in.density[i] * ((cube(h) - cube(x0 - (k0 + 0.5f) * d)) / 3.0f);
    norm += ((k1 - k0) - 1.0f) * (in.density[i] * ((cube(h) - cube(-h)) / 3.0f));
    terms[i] = norm + in.density[i] * ((cube(x1 - (k1 * d + h)) - cube(-h)) / 3.0f);
  }
  return terms;
}

TEST(Kernels, SearchErrorIsTheFormula) {
  Random random(4);
  std::vector<float> index(histogram_bins), density(histogram_bins);
  for (size_t i = 0; i < histogram_bins; ++i) index[i] = static_cast<float>(i);
  for (int round = 0; round < 400; ++round) {
    const double width = std::ldexp(1.0 + random.unit(), static_cast<int>(random.below(100)) - 80);
    const size_t filled = 1 + random.below(histogram_bins);
    uint64_t rows = 0;
    for (size_t i = 0; i < histogram_bins; ++i) {
      const float count = random.below(histogram_bins) < filled ? std::floor(random.scale()) : 0.0f;
      density[i] = count / static_cast<float>(width);
      if (count != 0.0f) rows |= uint64_t{1} << (i / 32);
    }
    size_t first = random.below(histogram_bins), last = random.below(histogram_bins);
    if (first > last) std::swap(first, last);
    const int levels = std::vector<int>{2, 16, 256, 256, 65536}[random.below(5)];
    const double destination = width * static_cast<double>(last - first + 1) / levels;
    const ErrorInput input{density.data(),
                           index.data(),
                           rows,
                           static_cast<float>(width),
                           static_cast<float>(destination),
                           static_cast<float>(destination / 2),
                           static_cast<int>(first),
                           levels};
    const float expected = baseline::kernel_set.sum_bins(error_terms(input).data());
    for (const Kernels* set : available_kernels()) {
      EXPECT_EQ(std::bit_cast<uint32_t>(set->quantization_error(input)), std::bit_cast<uint32_t>(expected))
          << set->name << " width " << width << " bins " << first << ".." << last << " levels " << levels;
    }
  }
}

TEST(Kernels, SumsAndLinspaceAgree) {
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    const std::vector<float> x = random.values(histogram_bins);
    const size_t count = 2 + random.below(5000);
    const float first = random.scale() - random.scale(), last = first + random.scale();
    std::vector<float> expected(count), found(count);
    baseline::kernel_set.linspace(first, last, count, expected.data());
    for (const Kernels* set : available_kernels()) {
      EXPECT_EQ(set->sum_bins(x.data()), baseline::kernel_set.sum_bins(x.data())) << set->name;
      set->linspace(first, last, count, found.data());
      EXPECT_TRUE(same_bits(found, expected)) << set->name;
    }
  }
}

TEST(Kernels, WideningIsSixteenAdditions) {
  Random random(7);
  for (int round = 0; round < 120; ++round) {
    std::vector<float> counts = random.values(histogram_bins), centres(16 * histogram_bins), bounds(histogram_bins + 1);
    for (float& count : counts) count = round % 3 == 0 ? std::floor(std::fabs(count)) : std::fabs(count);
    const float low = random.unit() - 0.5f, high = low + random.scale();
    const float wider = round % 4 == 0 ? 0.0f : (high - low) * random.unit() * (round % 2 ? 0.1f : 5.0f);
    baseline::kernel_set.linspace(low, high, centres.size(), centres.data());
    baseline::kernel_set.linspace(low - wider * random.unit(), high + wider * random.unit(), bounds.size(), bounds.data());
    std::vector<float> expected(histogram_bins);
    for (size_t i = 0; i < centres.size(); ++i) {
      const auto after = std::upper_bound(bounds.begin(), bounds.end(), centres[i]) - bounds.begin();
      expected[static_cast<size_t>(std::clamp<std::ptrdiff_t>(after - 1, 0, histogram_bins - 1))] += counts[i / 16] / 16.0f;
    }
    for (const Kernels* set : available_kernels()) {
      std::vector<float> found(histogram_bins);
      set->widen(counts.data(), centres.data(), bounds.data(), found.data());
      EXPECT_TRUE(same_bits(found, expected)) << set->name << " round " << round;
    }
  }
}

template <typename Q>
void expect_same(Random& random, void (*Kernels::*quantize)(const float*, size_t, QuantizeStep, Q*),
                 void (*Kernels::*dequantize)(const Q*, size_t, float, float, float*)) {
  constexpr float low = std::numeric_limits<Q>::min(), high = std::numeric_limits<Q>::max();
  std::vector<float> x = random.values(1 + random.below(300));
  x[random.below(x.size())] = std::numeric_limits<float>::quiet_NaN();
  x[random.below(x.size())] = std::numeric_limits<float>::infinity();
  const float zero_point = std::floor(low + random.unit() * (high - low));
  const QuantizeStep step{random.scale() * high, low - zero_point, high - zero_point, zero_point};
  std::vector<Q> expected(x.size()), q(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const float value = std::nearbyint(x[i] * step.inverse) + zero_point;
    expected[i] = std::isnan(value) ? Q{0} : static_cast<Q>(std::min(std::max(value, low), high));
  }
  std::vector<float> floats(x.size()), expected_floats(x.size());
  for (size_t i = 0; i < x.size(); ++i) expected_floats[i] = (static_cast<float>(expected[i]) - zero_point) * step.inverse;
  for (const Kernels* set : available_kernels()) {
    (set->*quantize)(x.data(), x.size(), step, q.data());
    EXPECT_EQ(q, expected) << set->name;
    (set->*dequantize)(q.data(), q.size(), zero_point, step.inverse, floats.data());
    EXPECT_TRUE(same_bits(floats, expected_floats)) << set->name;
  }
}

TEST(Kernels, QuantizeAndDequantizeAreTheFormula) {
  Random random(6);
  for (int round = 0; round < 100; ++round) {
    expect_same<int8_t>(random, &Kernels::quantize_int8, &Kernels::dequantize_int8);
    expect_same<uint8_t>(random, &Kernels::quantize_uint8, &Kernels::dequantize_uint8);
    expect_same<int16_t>(random, &Kernels::quantize_int16, &Kernels::dequantize_int16);
    expect_same<uint16_t>(random, &Kernels::quantize_uint16, &Kernels::dequantize_uint16);
  }
}

}  // namespace
}  // namespace intaglio::quant
