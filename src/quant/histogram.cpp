#include "quant/histogram.h"

#include <algorithm>
#include <cmath>

#include <intaglio/error.h>

#include "quant/kernels/kernels.h"

namespace intaglio::quant {

namespace {

constexpr size_t bins = Histogram::bins;
static_assert(bins == histogram_bins);

// A float32 counter stops here: adding one changes it no more.
constexpr uint32_t counter_limit = 1u << 24;

std::vector<float> as_floats(std::span<const uint32_t> counts) {
  std::vector<float> result(counts.size());
  for (size_t i = 0; i < counts.size(); ++i) result[i] = static_cast<float>(std::min(counts[i], counter_limit));
  return result;
}

std::vector<float> sum_of(std::span<const float> a, std::span<const float> b) {
  std::vector<float> result(a.size());
  for (size_t i = 0; i < a.size(); ++i) result[i] = a[i] + b[i];
  return result;
}

std::vector<float> linspace(float first, float last, size_t count) {
  std::vector<float> result(count);
  kernels().linspace(first, last, count, result.data());
  return result;
}

// All values are equal: the range becomes one to either side. Beyond 2^24 that may leave no width; the middle bin then.
std::vector<float> histogram_of_constant(size_t count, float value) {
  const float low = value - 1.0f;
  const float high = value + 1.0f;
  std::vector<uint32_t> counts(bins);
  size_t bin = bins / 2;
  if (low < high) {
    const float position = ((value - low) * static_cast<float>(bins)) / (high - low);
    bin = std::min(static_cast<size_t>(position), bins - 1);
  }
  counts[bin] = static_cast<uint32_t>(std::min<size_t>(count, counter_limit));
  return as_floats(counts);
}

// The last bin whose lower bound is not above `value`, starting the walk at `bin`. Bounds ascend.
size_t walk_to(std::span<const float> bounds, float value, size_t bin) {
  while (bin + 1 < bins && bounds[bin + 1] <= value) ++bin;
  while (bin > 0 && bounds[bin] > value) --bin;
  return bin;
}

}  // namespace

std::vector<float> histogram_of(std::span<const float> values, Range range) {
  if (range.min == range.max) return histogram_of_constant(values.size(), range.min);
  std::vector<uint32_t> counts(bins);
  kernels().count_bins(values.data(), values.size(), range.min, range.max, counts.data());
  return as_floats(counts);
}

std::vector<float> widened(std::span<const float> counts, Range from, Range to) {
  constexpr size_t parts = 16;
  const float part_width = (from.max - from.min) / static_cast<float>(bins * parts);
  const std::vector<float> edges = linspace(from.min, from.max, bins * parts + 1);
  const std::vector<float> bounds = linspace(to.min, to.max, bins + 1);
  const float half = 0.5f * part_width;
  std::vector<float> result(bins);
  // Ranges of a few subnormals round to bounds that do not ascend; PyTorch's binary search then has its own answer.
  const bool ascending = std::is_sorted(bounds.begin(), bounds.end());
  size_t bin = 0;
  for (size_t i = 0; i < bins; ++i) {
    if (counts[i] == 0.0f) continue;
    const float part = counts[i] / static_cast<float>(parts);
    for (size_t j = 0; j < parts; ++j) {
      const float centre = edges[i * parts + j] + half;
      if (ascending) {
        bin = walk_to(bounds, centre, bin);
      } else {
        const auto after = std::upper_bound(bounds.begin(), bounds.end(), centre) - bounds.begin();
        bin = static_cast<size_t>(std::clamp<std::ptrdiff_t>(after - 1, 0, bins - 1));
      }
      result[bin] += part;
    }
  }
  return result;
}

std::vector<float> cumulative_sum(std::span<const float> values) {
  std::vector<float> result(values.size());
  double sum = 0.0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += static_cast<double>(values[i]);
    result[i] = static_cast<float>(sum);
  }
  return result;
}

void Histogram::observe(std::span<const float> values) {
  if (values.empty()) return;
  const Range seen = range_of_values(values);
  if (std::isfinite(seen.min) && std::isfinite(seen.max)) return observe_finite(values, seen);
  std::vector<float> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](float value) { return std::isfinite(value); });
  if (!finite.empty()) observe_finite(finite, range_of_values(finite));
}

void Histogram::observe_finite(std::span<const float> values, Range seen) {
  if (empty()) {
    counts_ = histogram_of(values, seen);
    range_ = seen;
    return;
  }
  const Range wide{std::min(seen.min, range_.min), std::max(seen.max, range_.max)};
  const std::vector<float> added = histogram_of(values, wide);
  if (wide == range_) {
    counts_ = sum_of(counts_, added);
  } else if (range_.min == range_.max) {
    std::vector<float> earlier = histogram_of({&range_.min, 1}, wide);
    const float count = kernels().sum_bins(counts_.data());
    for (float& one : earlier) one *= count;
    counts_ = sum_of(earlier, added);
  } else {
    counts_ = sum_of(added, widened(counts_, range_, wide));
  }
  range_ = wide;
}

}  // namespace intaglio::quant
