#include "quant/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::quant {
namespace {

constexpr size_t block_size = 4096;
constexpr size_t lanes = 8;  // independent sums, so that additions need not wait for one another
constexpr double infinity = std::numeric_limits<double>::infinity();

double sum_of(const double (&lane)[lanes]) {
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

size_t rows_of(size_t scores, int64_t classes) {
  if (classes < 1 || scores == 0 || scores % static_cast<size_t>(classes) != 0) {
    throw_usage(fmt::format("{} scores are no whole number of rows of {} classes", scores, classes));
  }
  return scores / static_cast<size_t>(classes);
}

}  // namespace

void ErrorAccumulator::Sums::add(const Sums& other) {
  signal += other.signal;
  noise += other.noise;
  product += other.product;
  candidate += other.candidate;
  absolute += other.absolute;
}

void ErrorAccumulator::add_carefully(float reference, float candidate, Sums& sums) {
  if (reference == candidate && !std::isfinite(reference)) return;
  if (std::isnan(reference) && std::isnan(candidate)) return;
  if (!std::isfinite(reference) || !std::isfinite(candidate)) {
    infinite_error_ = true;
    return;
  }
  const double r = reference, c = candidate, error = r - c;
  sums.signal += r * r;
  sums.noise += error * error;
  sums.product += r * c;
  sums.candidate += c * c;
  sums.absolute += std::fabs(error);
  max_abs_error_ = std::max(max_abs_error_, std::fabs(error));
}

ErrorAccumulator::Sums ErrorAccumulator::sums_of(std::span<const float> reference, std::span<const float> candidate) {
  double signal[lanes] = {}, noise[lanes] = {}, product[lanes] = {}, other[lanes] = {}, absolute[lanes] = {};
  double largest[lanes] = {};
  const size_t whole = reference.size() - reference.size() % lanes;
  for (size_t i = 0; i < whole; i += lanes) {
    for (size_t j = 0; j < lanes; ++j) {
      const double r = reference[i + j], c = candidate[i + j], error = r - c;
      signal[j] += r * r;
      noise[j] += error * error;
      product[j] += r * c;
      other[j] += c * c;
      absolute[j] += std::fabs(error);
      largest[j] = std::max(largest[j], std::fabs(error));
    }
  }
  Sums sums{sum_of(signal), sum_of(noise), sum_of(product), sum_of(other), sum_of(absolute)};
  // Finite floats squared and summed in double stay finite: anything else came in with the values.
  if (!std::isfinite(sums.signal + sums.candidate)) {
    sums = {};
    for (size_t i = 0; i < reference.size(); ++i) add_carefully(reference[i], candidate[i], sums);
    return sums;
  }
  for (double one : largest) max_abs_error_ = std::max(max_abs_error_, one);
  for (size_t i = whole; i < reference.size(); ++i) add_carefully(reference[i], candidate[i], sums);
  return sums;
}

void ErrorAccumulator::add_block(const Sums& block) {
  Sums carry = block;
  size_t level = 0;
  for (uint64_t bit = blocks_; bit & 1; bit >>= 1) {
    Sums earlier = levels_[level++];
    earlier.add(carry);
    carry = earlier;
  }
  if (level == levels_.size()) levels_.emplace_back();
  levels_[level] = carry;
  ++blocks_;
}

void ErrorAccumulator::add(std::span<const float> reference, std::span<const float> candidate) {
  if (reference.size() != candidate.size()) {
    throw_usage(fmt::format("comparing {} values with {}; expected as many", candidate.size(), reference.size()));
  }
  for (size_t i = 0; i < reference.size(); i += block_size) {
    const size_t size = std::min(block_size, reference.size() - i);
    add_block(sums_of(reference.subspan(i, size), candidate.subspan(i, size)));
  }
  count_ += static_cast<int64_t>(reference.size());
}

ErrorMetrics ErrorAccumulator::metrics() const {
  if (infinite_error_) return {-infinity, 0.0, infinity, infinity, count_};
  Sums sums;
  for (size_t level = 0; level < levels_.size(); ++level) {
    if ((blocks_ >> level) & 1) sums.add(levels_[level]);
  }
  ErrorMetrics result{infinity, 1.0, max_abs_error_, 0.0, count_};
  if (count_ > 0) result.mean_abs_error = sums.absolute / static_cast<double>(count_);
  if (sums.noise > 0.0) result.sqnr_db = sums.signal > 0.0 ? 10.0 * std::log10(sums.signal / sums.noise) : -infinity;
  if (sums.signal > 0.0 && sums.candidate > 0.0) {
    // Two roots: the product of the squares may leave double's range.
    const double cosine = sums.product / (std::sqrt(sums.signal) * std::sqrt(sums.candidate));
    result.cosine = sums.noise == 0.0 ? 1.0 : std::clamp(cosine, -1.0, 1.0);
  } else if (sums.signal > 0.0 || sums.candidate > 0.0) {
    result.cosine = 0.0;
  }
  return result;
}

ErrorMetrics compare(std::span<const float> reference, std::span<const float> candidate) {
  ErrorAccumulator accumulator;
  accumulator.add(reference, candidate);
  return accumulator.metrics();
}

int64_t top1(std::span<const float> scores) {
  if (scores.empty()) throw_usage("the largest of no scores");
  size_t best = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) return static_cast<int64_t>(i);
    if (scores[i] > scores[best]) best = i;
  }
  return static_cast<int64_t>(best);
}

double top1_agreement(std::span<const float> reference, std::span<const float> candidate, int64_t classes) {
  if (reference.size() != candidate.size()) {
    throw_usage(fmt::format("comparing {} scores with {}; expected as many", candidate.size(), reference.size()));
  }
  const size_t rows = rows_of(reference.size(), classes);
  const size_t width = static_cast<size_t>(classes);
  size_t equal = 0;
  for (size_t row = 0; row < rows; ++row) {
    equal += top1(reference.subspan(row * width, width)) == top1(candidate.subspan(row * width, width));
  }
  return static_cast<double>(equal) / static_cast<double>(rows);
}

}  // namespace intaglio::quant
