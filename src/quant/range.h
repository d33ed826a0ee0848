// Smallest and largest values of tensors, whole or by channel.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <intaglio/tensor.h>

namespace intaglio::quant {

struct Range {
  float min;
  float max;
  friend bool operator==(const Range&, const Range&) = default;
};

// A floating-point tensor as float32 elements in memory order: dense float32 tensors are not copied, whatever the order
// of their dimensions; others are converted, or gathered into row-major order. Bad input for other types.
class FloatElements {
 public:
  explicit FloatElements(const Tensor& tensor);
  std::span<const float> values() const { return values_; }
  // Sizes and strides of the memory that values() shows.
  const Tensor& tensor() const { return tensor_; }

 private:
  Tensor tensor_;
  std::span<const float> values_;
};

// Infinite values count. A bad-input error when there is a NaN; bug error when there are no elements.
Range range_of_values(std::span<const float> values);
Range range_of_values(const Tensor& tensor);

struct ChannelRanges {
  std::vector<float> min;
  std::vector<float> max;
};
// One range for every index of `axis` (negative counts from the end). Same errors, and bad input when the tensor has
// no such axis.
ChannelRanges channel_ranges(const Tensor& tensor, int64_t axis);

}  // namespace intaglio::quant
