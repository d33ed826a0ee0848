// The search of histogram.h: which outer bins to give up.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "quant/histogram.h"
#include "quant/kernels/kernels.h"

namespace intaglio::quant {
namespace {

constexpr int bin_count = static_cast<int>(Histogram::bins);

// What the error of any pair of bins of one histogram has in common.
class ErrorOfBins {
 public:
  ErrorOfBins(std::span<const float> counts, Range range, int64_t levels)
      : levels_(levels), bin_width_((static_cast<double>(range.max) - static_cast<double>(range.min)) / bin_count) {
    const float width = static_cast<float>(bin_width_);
    for (int i = 0; i < bin_count; ++i) {
      density_[i] = counts[i] / width;
      index_[i] = static_cast<float>(i);
      if (counts[i] != 0.0f) rows_ |= uint64_t{1} << (i / 32);
    }
  }

  float operator()(int first, int last) const {
    const double destination = bin_width_ * (last - first + 1) / static_cast<double>(levels_);
    if (destination == 0.0) return 0.0f;
    const ErrorInput input{density_.data(),
                           index_.data(),
                           rows_,
                           static_cast<float>(bin_width_),
                           static_cast<float>(destination),
                           static_cast<float>(destination / 2),
                           first,
                           static_cast<int>(std::min<int64_t>(levels_, 1 << 16))};
    const bool kernel_takes_it = levels_ <= (1 << 16) && input.destination_width >= 0x1p-100f && bin_width_ * bin_count < 0x1p40;
    return kernel_takes_it ? kernels().quantization_error(input) : plain(input);
  }

 private:
  // As PyTorch's floor division of float32 computes it; only tiny and huge ranges come here.
  static float floor_division(float a, float b) {
    if (b == 0.0f) return a / b;
    const float rest = std::fmod(a, b);
    float quotient = (a - rest) / b;
    if (rest != 0.0f && (b < 0.0f) != (rest < 0.0f)) quotient -= 1.0f;
    if (quotient == 0.0f) return std::copysign(0.0f, a / b);
    float result = std::floor(quotient);
    if (quotient - result > 0.5f) result += 1.0f;
    return result;
  }
  static float cube(float a) { return (a * a) * a; }

  float plain(const ErrorInput& in) const {
    const float last = static_cast<float>(levels_ - 1);
    const auto destination = [&](float x) {
      const float bin = floor_division(x, in.destination_width);
      return std::isnan(bin) ? bin : std::min(std::max(bin, 0.0f), last);
    };
    const float half = in.half_width;
    const float whole_bin = (cube(half) - cube(-half)) / 3.0f;
    std::array<float, bin_count> norms;
    for (int i = 0; i < bin_count; ++i) {
      const float begin = static_cast<float>(i - in.start) * in.bin_width;
      const float end = begin + in.bin_width;
      const float first_bin = destination(begin);
      const float last_bin = destination(end);
      const float from_begin = begin - (first_bin + 0.5f) * in.destination_width;
      const float to_end = end - (last_bin * in.destination_width + half);
      float norm = density_[i] * ((cube(half) - cube(from_begin)) / 3.0f);
      norm += ((last_bin - first_bin) - 1.0f) * (density_[i] * whole_bin);
      norms[i] = norm + density_[i] * ((cube(to_end) - cube(-half)) / 3.0f);
    }
    return kernels().sum_bins(norms.data());
  }

  int64_t levels_;
  double bin_width_;
  uint64_t rows_ = 0;
  alignas(64) std::array<float, bin_count> density_;
  alignas(64) std::array<float, bin_count> index_;
};

// The quantiles the search steps through: k steps of 1e-5 up from 0, and down from 1, added one by one in double as the
// reference does (k * 1e-5 has other bits).
struct Quantiles {
  static constexpr double step = 1e-5;
  std::vector<double> up, down;
  Quantiles() {
    for (auto* steps : {&up, &down}) steps->reserve(100'005);
    for (double q = 0.0; q < 1.0 + 2 * step; q += step) up.push_back(q);
    for (double q = 1.0; q > -2 * step; q -= step) down.push_back(q);
  }
  static const Quantiles& get() {
    static const Quantiles quantiles;
    return quantiles;
  }
};

}  // namespace

float Histogram::quantization_error(int first, int last, int64_t levels) const { return ErrorOfBins(counts_, range_, levels)(first, last); }

Range Histogram::search(int64_t levels) const {
  const Quantiles& quantiles = Quantiles::get();
  const ErrorOfBins error(counts_, range_, levels);
  const std::vector<float> below = cumulative_sum(counts_);
  const double total = kernels().sum_bins(counts_.data());
  const auto count_at = [&](double quantile) { return static_cast<float>(quantile * total); };

  int start = 0, end = bin_count - 1;
  size_t alpha = 0, beta = 0;  // steps taken up and down
  float least = std::numeric_limits<float>::infinity();
  while (quantiles.up[alpha] < quantiles.down[beta]) {
    int left = start, right = end;
    while (left < end && below[left] < count_at(quantiles.up[alpha + 1])) ++left;
    while (right > start && below[right] > count_at(quantiles.down[beta + 1])) --right;
    int next_start = start, next_end = end;
    if (left - start > end - right) {
      next_start = left;
      ++alpha;
    } else {
      next_end = right;
      ++beta;
    }
    if (next_start == start && next_end == end) {
      // The end stays until its quantile falls below the bin: take all those steps at once.
      if (end == start) break;
      const auto reached = [&](double quantile) { return !(below[end] > count_at(quantile)); };
      const auto from = quantiles.down.begin() + static_cast<std::ptrdiff_t>(beta);
      const auto crossing = std::partition_point(from + 1, quantiles.down.end(), reached);
      if (crossing == quantiles.down.end()) break;
      beta = static_cast<size_t>(crossing - quantiles.down.begin()) - 1;
      continue;
    }
    const float loss = error(next_start, next_end);
    if (loss > least) break;
    least = loss;
    start = next_start;
    end = next_end;
  }
  const float bin_width = (range_.max - range_.min) / static_cast<float>(bin_count);
  return {range_.min + bin_width * static_cast<float>(start), range_.min + bin_width * static_cast<float>(end + 1)};
}

}  // namespace intaglio::quant
