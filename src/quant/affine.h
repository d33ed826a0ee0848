// Affine quantization on numbers: parameters from a range, quantize, dequantize. The numerics are those of PyTorch's
// `quantized_decomposed` operators, bit for bit; every operation below is one float32 rounding unless it says double.
//
//   quantize    q = clamp(round_half_even(x * inverse) + zero_point, quant_min, quant_max)
//   dequantize  x = (q - zero_point) * scale
//
// `inverse` is 1/scale: per tensor computed in double and rounded to float32, per channel computed in float32.
// Integer types: int8, uint8, int16, uint16, int32. Float types: float32, float16, bfloat16 (computed in float32).
// NaN quantizes as PyTorch's x86 kernels do (see quantize_per_tensor). Tests: affine_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <intaglio/quantization.h>

namespace intaglio::quant {

// What the integers of a type can hold: int8 is [-128, 127]. Unsupported error for types that nothing is quantized to.
struct QuantRange {
  int64_t min;
  int64_t max;
  friend bool operator==(const QuantRange&, const QuantRange&) = default;
};
QuantRange range_of(DType dtype);
// The range an observer of these settings quantizes to: the given bounds, else the type's own.
// Usage error when a bound is missing its partner, is outside the type, or the range is empty or without 0.
QuantRange range_of(const ObserverSettings& settings);

struct ScaleZeroPoint {
  float scale;
  int64_t zero_point;
  friend bool operator==(const ScaleZeroPoint&, const ScaleZeroPoint&) = default;
};

// Parameters for values in [min, max]; the range is first widened to hold 0.
// affine:     scale = (max - min) / (qmax - qmin), at least eps;  zero_point = qmin - round(min / scale)
// symmetric:  scale = max(-min, max) / ((qmax - qmin) / 2), at least eps;  zero_point as symmetric_zero_point gives it
// A bad-input error when min > max or either is NaN.
ScaleZeroPoint choose_qparams_affine(float min, float max, QuantRange range, double eps);
ScaleZeroPoint choose_qparams_symmetric(float min, float max, QuantRange range, double eps, int64_t zero_point = 0);
// 0 for signed types; the middle of the range (given bounds) or of the type (128, 32768) for unsigned ones.
int64_t symmetric_zero_point(const ObserverSettings& settings);

// The static path for an observer of these settings: one entry, or one per channel of settings.ch_axis.
// An empty range (+inf, -inf) gives scale 1, zero point 0.
QuantParams qparams_of_range(std::span<const float> min, std::span<const float> max, const ObserverSettings& settings, double eps,
                             bool per_channel);

// Dynamic quantization (`quantized_decomposed.choose_qparams.tensor`, `choose_qparams_symmetric.tensor`): the
// parameters of one tensor from its own values. An empty tensor counts as all zeros. Only int8 and uint8.
ScaleZeroPoint choose_qparams(const Tensor& x, QuantRange range, double eps, DType dtype);
ScaleZeroPoint choose_qparams_symmetric(const Tensor& x, QuantRange range, double eps, DType dtype);

// --- on memory ------------------------------------------------------------------------------------------------------

// `q` receives x.size() integers of type `dtype`. `scale` may be any positive double: graph literals are doubles.
// For int32 a value above the largest float below 2^31 becomes 2^31-1 (PyTorch's conversion is undefined there).
// NaN becomes the lowest value of int32 and 0 in narrower types, as the x86 conversion gives.
void quantize_per_tensor(std::span<const float> x, double scale, int64_t zero_point, QuantRange range, DType dtype, void* q);
// `x` receives `x.size()` floats from as many integers at `q`; the scale is narrowed to float32.
void dequantize_per_tensor(const void* q, DType dtype, double scale, int64_t zero_point, std::span<float> x);

// Memory seen as [outer, channels, inner]; channel c of every outer index uses scales[c], zero_points[c].
// One scale or zero point serves all channels.
struct ChannelLayout {
  int64_t outer;
  int64_t channels;
  int64_t inner;
};
void quantize_per_channel(const float* x, ChannelLayout layout, std::span<const float> scales, std::span<const int64_t> zero_points,
                          QuantRange range, DType dtype, void* q);
void dequantize_per_channel(const void* q, DType dtype, ChannelLayout layout, std::span<const float> scales,
                            std::span<const int64_t> zero_points, float* x);

// --- on tensors -----------------------------------------------------------------------------------------------------
// Dense inputs keep their strides (channels-last stays channels-last); others give a contiguous result.
// Bad-input errors for wrong types, an axis that the tensor has not, a count of scales that is neither 1 nor the size
// of the axis.

Tensor quantize_per_tensor(const Tensor& x, double scale, int64_t zero_point, QuantRange range, DType dtype);
Tensor dequantize_per_tensor(const Tensor& q, double scale, int64_t zero_point, DType out_dtype = DType::float32);
Tensor quantize_per_channel(const Tensor& x, std::span<const float> scales, std::span<const int64_t> zero_points, int64_t axis,
                            QuantRange range, DType dtype);
Tensor dequantize_per_channel(const Tensor& q, std::span<const float> scales, std::span<const int64_t> zero_points, int64_t axis,
                              DType out_dtype = DType::float32);
// As `params` says. Block sizes other than those above give a contiguous result, computed as per channel. A bad-input error
// when a block size does not divide the tensor, or scales are neither one nor one a block. Nothing is quantized to a code book here.
Tensor quantize(const Tensor& x, const QuantParams& params);
Tensor dequantize(const Tensor& q, const QuantParams& params, DType out_dtype = DType::float32);

// --- bias -----------------------------------------------------------------------------------------------------------

// A float bias as the int32 that an integer kernel adds to its sums: scale is input scale * weight scale.
// One weight scale: the product and its inverse in double. Several: one a channel, all in float32. zero_point is 0.
struct QuantizedBias {
  std::vector<int32_t> values;
  std::vector<float> scales;  // one, or one a channel
};
QuantizedBias quantize_bias(std::span<const float> bias, double input_scale, std::span<const float> weight_scales);
// The per-tensor case with the weight scale still a double (a graph literal).
QuantizedBias quantize_bias(std::span<const float> bias, double input_scale, double weight_scale);

}  // namespace intaglio::quant
