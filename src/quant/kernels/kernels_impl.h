// Included once per instruction set, inside its namespace's source file with INTAGLIO_ISA defined.
// No standard library templates here: an inline function compiled for AVX-512 must not replace the one others link.
#include "quant/kernels/kernels.h"
#include "quant/kernels/simd.h"

#include "quant/kernels/range_impl.h"

#include "quant/kernels/groups_impl.h"

#include "quant/kernels/fit_impl.h"

#include "quant/kernels/histogram_impl.h"

namespace intaglio::quant::INTAGLIO_ISA {
namespace {

template <typename Q>
void quantize(const float* __restrict x, size_t count, QuantizeStep step, Q* __restrict q) {
  for (size_t i = 0; i < count; ++i) {
    const float value = rounded(clamped(x[i] * step.inverse, step.low, step.high)) + step.zero_point;
    q[i] = static_cast<Q>(value == value ? static_cast<int32_t>(value) : 0);
  }
}

template <typename Q>
void dequantize(const Q* __restrict q, size_t count, float zero_point, float scale, float* __restrict x) {
  for (size_t i = 0; i < count; ++i) x[i] = (static_cast<float>(q[i]) - zero_point) * scale;
}

}  // namespace

extern const Kernels kernel_set = {
    .name = INTAGLIO_ISA_NAME,
    .quantize_int8 = quantize<int8_t>,
    .quantize_uint8 = quantize<uint8_t>,
    .quantize_int16 = quantize<int16_t>,
    .quantize_uint16 = quantize<uint16_t>,
    .dequantize_int8 = dequantize<int8_t>,
    .dequantize_uint8 = dequantize<uint8_t>,
    .dequantize_int16 = dequantize<int16_t>,
    .dequantize_uint16 = dequantize<uint16_t>,
    .dequantize_int32 = dequantize<int32_t>,
    .min_max = min_max,
    .min_max_channels = min_max_channels,
    .count_bins = count_bins,
    .sum_bins = sum_bins,
    .quantization_error = quantization_error,
    .linspace = linspace,
    .widen = widen,
    .group_ranges = group_ranges,
    .group_magnitudes = group_magnitudes,
    .quantize_groups = quantize_groups,
    .quantize_symmetric = quantize_symmetric,
    .refine_scales = refine_scales,
    .quantize_scaled_groups = quantize_scaled_groups,
};

}  // namespace intaglio::quant::INTAGLIO_ISA
