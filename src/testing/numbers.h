// Numbers that tests compute with.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include <intaglio/tensor.h>

namespace intaglio::test {

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// float32 from `low` to below `high`, the same for the same seed everywhere.
inline Tensor noise(const Sizes& sizes, float low, float high, uint32_t seed) {
  Tensor tensor = Tensor::empty(DType::float32, sizes);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    tensor.mutable_data<float>()[i] = low + (high - low) * static_cast<float>(seed >> 8) / static_cast<float>(1 << 24);
  }
  return tensor;
}

// Signal to quantization noise of float32 tensors, in dB.
inline double sqnr(const Tensor& reference, const Tensor& candidate) {
  double signal = 0, error = 1e-30;
  for (int64_t i = 0; i < reference.numel(); ++i) {
    const double r = reference.data<float>()[i];
    signal += r * r;
    error += std::pow(r - candidate.data<float>()[i], 2);
  }
  return 10 * std::log10(signal / error);
}

}  // namespace intaglio::test
