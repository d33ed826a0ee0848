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

constexpr size_t parts = 16;

// The last bin whose lower bound is not above `value`, starting the walk at `bin`. Bounds ascend.
size_t walk_to(std::span<const float> bounds, float value, size_t bin) {
  while (bin + 1 < bins && bounds[bin + 1] <= value) ++bin;
  while (bin > 0 && bounds[bin] > value) --bin;
  return bin;
}

// Adds `part` sixteen times one after the other, as the rounding of the reference wants it: to `bin` while the centres
// are below `bound`, then to the next. Additions of zero stand in for branches that no predictor gets right.
void add_parts(const float* centres, float bound, float part, float* bin) {
  float here = bin[0], next = bin[1];
  for (size_t k = 0; k < parts; ++k) {
    const bool below = centres[k] < bound;
    here += below ? part : 0.0f;
    next += below ? 0.0f : part;
  }
  bin[0] = here;
  bin[1] = next;
}

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
  // Ranges of a few subnormals round to bounds that do not ascend; PyTorch's binary search then has its own answer.
  const bool ascending = std::is_sorted(bounds.begin(), bounds.end());
  size_t bin = 0;
  for (size_t i = 0; i < bins; ++i) {
    if (counts[i] == 0.0f) continue;
    const float part = counts[i] / static_cast<float>(parts);
    const float* centre = &centres[i * parts];
    if (ascending) bin = walk_to(bounds, centre[0], bin);
    if (ascending && bin + 2 < bins && centre[parts - 1] < bounds[bin + 2] && std::is_sorted(centre, centre + parts)) {
      add_parts(centre, bounds[bin + 1], part, &result[bin]);
      continue;
    }
    for (size_t j = 0; j < parts; ++j) {
      if (ascending) {
        bin = walk_to(bounds, centre[j], bin);
      } else {
        const auto after = std::upper_bound(bounds.begin(), bounds.end(), centre[j]) - bounds.begin();
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
  if (count_in_range(values)) return;
  const Range seen = range_of_values(values);
  if (std::isfinite(seen.min) && std::isfinite(seen.max)) return observe_finite(values, seen);
  std::vector<float> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](float value) { return std::isfinite(value); });
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
