// The hot loops of this room, built once for each instruction set from `kernels_impl.h`. Every set gives the same bits
// (kernels_test.cpp compares them); `kernels()` is the fastest that this processor runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace intaglio::quant {

// x -> clamp(round_half_even(x * inverse), low, high) + zero_point, with low and high already without the zero point.
// |low|, |high| and |zero_point| below 2^22, so that every step after the product is exact. NaN becomes 0.
struct QuantizeStep {
  float inverse;
  float low;
  float high;
  float zero_point;
};

// A group of a weight: the integers it may use, and how many of float32's mantissa bits a product has not (16 where it is
// rounded to bfloat16, 13 to float16).
struct GroupStep {
  float low;
  float high;
  unsigned dropped_bits = 0;
  bool is_bounded = false;  // every product is a number below 2^30, and stays as it is
};

struct MinMax {
  float min;
  float max;
  bool has_nan;  // NaN leaves min and max alone
};

constexpr size_t histogram_bins = 2048;

// The bins of a histogram quantized to `destination_bins` levels that span the bins from `start` on.
// destination_width is at least 2^-100, all 2048 source bins together below 2^40, destination_bins at most 2^16.
struct ErrorInput {
  const float* density;    // count / bin_width, of each source bin
  const float* bin_index;  // 0, 1, 2, ... 2047
  uint64_t rows;           // bit r: bins 32r..32r+31 are not all empty
  float bin_width;
  float destination_width;
  float half_width;  // of destination_width
  int start;
  int destination_bins;
};

struct Kernels {
  const char* name;
  void (*quantize_int8)(const float* x, size_t count, QuantizeStep step, int8_t* q);
  void (*quantize_uint8)(const float* x, size_t count, QuantizeStep step, uint8_t* q);
  void (*quantize_int16)(const float* x, size_t count, QuantizeStep step, int16_t* q);
  void (*quantize_uint16)(const float* x, size_t count, QuantizeStep step, uint16_t* q);
  void (*dequantize_int8)(const int8_t* q, size_t count, float zero_point, float scale, float* x);
  void (*dequantize_uint8)(const uint8_t* q, size_t count, float zero_point, float scale, float* x);
  void (*dequantize_int16)(const int16_t* q, size_t count, float zero_point, float scale, float* x);
  void (*dequantize_uint16)(const uint16_t* q, size_t count, float zero_point, float scale, float* x);
  void (*dequantize_int32)(const int32_t* q, size_t count, float zero_point, float scale, float* x);
  // +inf, -inf for no values.
  MinMax (*min_max)(const float* x, size_t count);
  // Widens min[channel], max[channel] by memory seen as [outer, channels, inner]. True when there is a NaN.
  bool (*min_max_channels)(const float* x, size_t outer, size_t channels, size_t inner, float* min, float* max);
  // Adds to counts[histogram_bins] and gives the range seen. Values outside [low, high] and NaN land in some bin:
  // the caller then discards the counts. low < high.
  MinMax (*count_bins)(const float* x, size_t count, float low, float high, uint32_t* counts);
  // The sum of histogram_bins values in the order of PyTorch's `sum`.
  float (*sum_bins)(const float* values);
  // The squared error of rounding uniformly filled bins to the centres of their destination bins.
  float (*quantization_error)(const ErrorInput& input);
  // torch.linspace with 2 <= count < 2^24.
  void (*linspace)(float first, float last, size_t count, float* out);
  // Adds each count to out[histogram_bins] in sixteen parts, one after the other: a part goes to the last bin whose
  // bound is not above its centre. histogram_bins + 1 ascending bounds, sixteen centres a count.
  void (*widen)(const float* counts, const float* centres, const float* bounds, float* out);

  // Groups of `size` values, one behind the other. The range of each: NaN where it has one.
  void (*group_ranges)(const float* x, size_t groups, size_t size, float* low, float* high);
  // The largest |x| of each; NaN where it has one.
  void (*group_magnitudes)(const float* x, size_t groups, size_t size, float* largest);
  // q = clamp(round(x * inverse) + zero_point, low, high) with the group's inverse and zero point; NaN becomes 0.
  void (*quantize_groups)(const float* x, size_t groups, size_t size, const float* inverse, const int8_t* zero_point, GroupStep step,
                          int8_t* q);
  // Both in one pass: scale = max(largest |x| / half_range, eps), and q with its inverse. Returns the first group whose scale is not
  // finite, behind which nothing is done; `groups` where there is none.
  size_t (*quantize_symmetric)(const float* x, size_t groups, size_t size, float half_range, float eps, GroupStep step, float* scale,
                               int8_t* q);
  // The scale of each group by least squares, again and again: scale = sum(w*q) / sum(q*q) for q = clamp(round(w / scale), low, high),
  // summed as PyTorch does. A group ends after `limit` steps or before one that changes nothing; `steps` receives how many it took.
  // change[i] is raised to how much step i changed a scale, relatively. 0 < limit < 256.
  void (*refine_scales)(const float* w, size_t groups, size_t size, GroupStep step, int limit, float* scale, uint8_t* steps, float* change);
  // q = clamp(round(w / scale), low, high).
  void (*quantize_scaled_groups)(const float* w, size_t groups, size_t size, const float* scale, GroupStep step, int8_t* q);
};

const Kernels& kernels();
// All sets that this processor runs, slowest first.
std::span<const Kernels* const> available_kernels();

// For tests: while it lives, `kernels()` is `set` on every thread.
class KernelOverride {
 public:
  explicit KernelOverride(const Kernels& set);
  ~KernelOverride();
  KernelOverride(const KernelOverride&) = delete;
  KernelOverride& operator=(const KernelOverride&) = delete;
};

namespace baseline {
extern const Kernels kernel_set;
}
namespace avx2 {
extern const Kernels kernel_set;
}
namespace avx512 {
extern const Kernels kernel_set;
}

}  // namespace intaglio::quant
