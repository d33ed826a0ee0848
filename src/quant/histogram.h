// A histogram over a range that grows with the data, and the search for the part of it worth keeping: the statistics of
// torchao's HistogramObserver, bit for bit.
//
// The bits are those of one thread with fused multiply-add in linspace, which is what PyTorch does on every x86
// processor with AVX2. Tests: observers_test.cpp, record_test.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "quant/range.h"

namespace intaglio::quant {

class Histogram {
 public:
  static constexpr size_t bins = 2048;

  // Infinite values are left out; NaN is a bad-input error that leaves the histogram as it was.
  void observe(std::span<const float> values);

  bool empty() const { return counts_.empty(); }
  int64_t left_out() const { return left_out_; }
  // Defined once something finite was observed.
  Range range() const { return range_; }
  std::span<const float> counts() const { return counts_; }

  // The range that loses least to rounding when it is quantized to `levels` steps: outer bins are given up, smaller
  // quantile first, for as long as the squared error does not rise.
  Range search(int64_t levels) const;

  // The squared error of quantizing bins [first, last] to `levels` steps, everything outside clamped to them.
  float quantization_error(int first, int last, int64_t levels) const;

 private:
  // Counts on the guess that no value is outside the range, in the pass that finds out. False: nothing was changed.
  bool count_in_range(std::span<const float> values);
  void observe_finite(std::span<const float> values, Range seen);
  Range range_{0.0f, 0.0f};
  int64_t left_out_ = 0;
  std::vector<float> counts_;  // empty before the first observation
  bool settled_ = false;       // the last observation did not widen the range: the next is likely not to
};

// torch.histc(values, 2048, range.min, range.max) for values inside the range.
std::vector<float> histogram_of(std::span<const float> values, Range range);
// A histogram over `from` as one over the wider `to`: every bin in sixteen parts, each wholly in the bin of its centre.
std::vector<float> widened(std::span<const float> counts, Range from, Range to);
// torch.cumsum: added in double, each entry rounded.
std::vector<float> cumulative_sum(std::span<const float> values);

}  // namespace intaglio::quant
