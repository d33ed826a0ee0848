#include "quant/histogram.h"

#include <algorithm>
#include <cmath>

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

constexpr size_t parts = 16;

}  // namespace

std::vector<float> histogram_of(std::span<const float> values, Range range) {
  if (range.min == range.max) return histogram_of_constant(values.size(), range.min);
  std::vector<uint32_t> counts(bins);
  kernels().count_bins(values.data(), values.size(), range.min, range.max, counts.data());
  return as_floats(counts);
}

std::vector<float> widened(std::span<const float> counts, Range from, Range to) {
  const float part_width = (from.max - from.min) / static_cast<float>(bins * parts);
  const std::vector<float> bounds = linspace(to.min, to.max, bins + 1);
  std::vector<float> centres = linspace(from.min, from.max, bins * parts + 1);
  for (float& centre : centres) centre += 0.5f * part_width;
  std::vector<float> result(bins);
  if (std::is_sorted(bounds.begin(), bounds.end())) {
    kernels().widen(counts.data(), centres.data(), bounds.data(), result.data());
    return result;
  }
  // Ranges of a few subnormals round to bounds that do not ascend; PyTorch's binary search then has its own answer.
  for (size_t i = 0; i < bins * parts; ++i) {
    const auto after = std::upper_bound(bounds.begin(), bounds.end(), centres[i]) - bounds.begin();
    const auto bin = std::clamp<std::ptrdiff_t>(after - 1, 0, bins - 1);
    result[static_cast<size_t>(bin)] += counts[i / parts] / static_cast<float>(parts);
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
  if (count_in_range(values)) return;
  const Range seen = range_of_values(values);
  if (std::isfinite(seen.min) && std::isfinite(seen.max)) return observe_finite(values, seen);
  std::vector<float> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](float value) { return std::isfinite(value); });
  left_out_ += std::ssize(values) - std::ssize(finite);
  if (!finite.empty()) observe_finite(finite, range_of_values(finite));
}

bool Histogram::count_in_range(std::span<const float> values) {
  if (!settled_ || !(range_.min < range_.max)) return false;
  std::vector<uint32_t> counts(bins);
  const MinMax seen = kernels().count_bins(values.data(), values.size(), range_.min, range_.max, counts.data());
  if (seen.has_nan || seen.min < range_.min || seen.max > range_.max) return false;
  counts_ = sum_of(counts_, as_floats(counts));
  return true;
}

void Histogram::observe_finite(std::span<const float> values, Range seen) {
  if (empty()) {
    counts_ = histogram_of(values, seen);
    range_ = seen;
    return;
  }
  const Range wide{std::min(seen.min, range_.min), std::max(seen.max, range_.max)};
  const std::vector<float> added = histogram_of(values, wide);
  settled_ = wide == range_;
  if (settled_) {
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
