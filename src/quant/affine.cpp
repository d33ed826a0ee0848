#include "quant/affine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/integer_range.h"
#include "quant/kernels/kernels.h"

namespace intaglio::quant {
namespace {

[[noreturn]] void refuse_type(DType dtype) {
  throw_unsupported(fmt::format("quantizing to {}: expected int8, uint8, int16, uint16 or int32", name(dtype)));
}

// The magic-number rounding of the kernels is exact below this.
constexpr int64_t exact_limit = 1 << 22;
bool fits_kernels(int64_t zero_point, QuantRange range) {
  const auto small = [](int64_t value) { return value > -exact_limit && value < exact_limit; };
  return small(zero_point) && small(range.min) && small(range.max) && small(range.min - zero_point) && small(range.max - zero_point);
}

// Any type and zero point, one element at a time, each step rounded as PyTorch rounds it.
template <typename Q>
void quantize_plain(std::span<const float> x, float inverse, int64_t zero_point, QuantRange range, Q* q) {
  const float low = static_cast<float>(range.min);
  const float high = static_cast<float>(range.max);
  for (size_t i = 0; i < x.size(); ++i) {
    const float value = std::nearbyint(x[i] * inverse) + static_cast<float>(zero_point);
    if (std::isnan(value)) {
      q[i] = sizeof(Q) == 4 ? std::numeric_limits<Q>::min() : Q{0};
    } else {
      // Clamped in float as PyTorch does; the largest int32 is not a float, so the integer bound comes after it.
      const double clamped = std::min(std::max(value, low), high);
      q[i] = static_cast<Q>(std::min<double>(clamped, static_cast<double>(std::numeric_limits<Q>::max())));
    }
  }
}

template <typename Q>
using QuantizeKernel = void (*)(const float*, size_t, QuantizeStep, Q*);
template <typename Q>
void quantize_row(std::span<const float> x, float inverse, int64_t zero_point, QuantRange range, Q* q, QuantizeKernel<Q> kernel) {
  if (!kernel || !fits_kernels(zero_point, range)) return quantize_plain(x, inverse, zero_point, range, q);
  const QuantizeStep step{inverse, static_cast<float>(range.min - zero_point), static_cast<float>(range.max - zero_point),
                          static_cast<float>(zero_point)};
  kernel(x.data(), x.size(), step, q);
}

// One row with a known inverse. `offset` counts elements of q.
void quantize_with_inverse(std::span<const float> x, float inverse, int64_t zero_point, QuantRange range, DType dtype, void* q,
                           size_t offset = 0) {
  const Kernels& k = kernels();
  const auto run = [&]<typename Q>(Q* out, QuantizeKernel<Q> kernel) {
    quantize_row<Q>(x, inverse, zero_point, range, out + offset, kernel);
  };
  switch (dtype) {
    case DType::int8: return run(static_cast<int8_t*>(q), k.quantize_int8);
    case DType::uint8: return run(static_cast<uint8_t*>(q), k.quantize_uint8);
    case DType::int16: return run(static_cast<int16_t*>(q), k.quantize_int16);
    case DType::uint16: return run(static_cast<uint16_t*>(q), k.quantize_uint16);
    case DType::int32: return run(static_cast<int32_t*>(q), QuantizeKernel<int32_t>{nullptr});
    default: refuse_type(dtype);
  }
}

void dequantize_row(const void* q, DType dtype, size_t offset, float scale, float zero_point, std::span<float> x) {
  const Kernels& k = kernels();
  const auto run = [&]<typename Q>(const Q* in, void (*kernel)(const Q*, size_t, float, float, float*)) {
    kernel(in + offset, x.size(), zero_point, scale, x.data());
  };
  switch (dtype) {
    case DType::int8: return run(static_cast<const int8_t*>(q), k.dequantize_int8);
    case DType::uint8: return run(static_cast<const uint8_t*>(q), k.dequantize_uint8);
    case DType::int16: return run(static_cast<const int16_t*>(q), k.dequantize_int16);
    case DType::uint16: return run(static_cast<const uint16_t*>(q), k.dequantize_uint16);
    case DType::int32: return run(static_cast<const int32_t*>(q), k.dequantize_int32);
    default: refuse_type(dtype);
  }
}

void check_range(QuantRange range, DType dtype) {
  const QuantRange held = range_of(dtype);
  if (range.min > range.max || range.min < held.min || range.max > held.max) {
    throw_bad_input(
        fmt::format("quantization range [{}, {}] is not inside {}'s [{}, {}]", range.min, range.max, name(dtype), held.min, held.max));
  }
}

template <typename T>
T of_channel(std::span<const T> values, int64_t channel) {
  return values.size() == 1 ? values[0] : values[static_cast<size_t>(channel)];
}

}  // namespace

QuantRange range_of(DType dtype) {
  const auto range = integer_range(dtype);
  if (!range) refuse_type(dtype);
  return {range->min, range->max};
}

QuantRange range_of(const ObserverSettings& settings) {
  const QuantRange held = range_of(settings.dtype);
  if (!settings.quant_min && !settings.quant_max) return held;
  if (!settings.quant_min || !settings.quant_max) {
    throw_usage("quantization settings give only one of quant_min and quant_max; give both or neither");
  }
  const QuantRange range{*settings.quant_min, *settings.quant_max};
  if (range.min >= range.max || range.min > 0 || range.max < 0 || range.min < held.min || range.max > held.max) {
    throw_usage(fmt::format("quantization settings: quant_min {} and quant_max {} must span 0 and be inside {}'s [{}, {}]", range.min,
                            range.max, name(settings.dtype), held.min, held.max));
  }
  return range;
}

void quantize_per_tensor(std::span<const float> x, double scale, int64_t zero_point, QuantRange range, DType dtype, void* q) {
  check_range(range, dtype);
  if (scale == 0.0) throw_bad_input("quantize_per_tensor with scale 0; expected a positive scale");
  quantize_with_inverse(x, static_cast<float>(1.0 / scale), zero_point, range, dtype, q);
}

void dequantize_per_tensor(const void* q, DType dtype, double scale, int64_t zero_point, std::span<float> x) {
  dequantize_row(q, dtype, 0, static_cast<float>(scale), static_cast<float>(zero_point), x);
}

void quantize_per_channel(const float* x, ChannelLayout layout, std::span<const float> scales, std::span<const int64_t> zero_points,
                          QuantRange range, DType dtype, void* q) {
  check_range(range, dtype);
  const size_t inner = static_cast<size_t>(layout.inner);
  size_t offset = 0;
  for (int64_t outer = 0; outer < layout.outer; ++outer) {
    for (int64_t channel = 0; channel < layout.channels; ++channel, offset += inner) {
      const float inverse = 1.0f / of_channel(scales, channel);
      quantize_with_inverse({x + offset, inner}, inverse, of_channel(zero_points, channel), range, dtype, q, offset);
    }
  }
}

void dequantize_per_channel(const void* q, DType dtype, ChannelLayout layout, std::span<const float> scales,
                            std::span<const int64_t> zero_points, float* x) {
  const size_t inner = static_cast<size_t>(layout.inner);
  size_t offset = 0;
  for (int64_t outer = 0; outer < layout.outer; ++outer) {
    for (int64_t channel = 0; channel < layout.channels; ++channel, offset += inner) {
      // Integer subtraction before the conversion, unlike per tensor; they differ only beyond 2^24, so only for int32.
      const int64_t zero_point = of_channel(zero_points, channel);
      const float scale = of_channel(scales, channel);
      if (dtype != DType::int32 || zero_point == 0) {
        dequantize_row(q, dtype, offset, scale, static_cast<float>(zero_point), {x + offset, inner});
        continue;
      }
      for (size_t i = 0; i < inner; ++i) {
        x[offset + i] = static_cast<float>(static_cast<const int32_t*>(q)[offset + i] - zero_point) * scale;
      }
    }
  }
}

QuantizedBias quantize_bias(std::span<const float> bias, double input_scale, double weight_scale) {
  const double scale = weight_scale * input_scale;
  QuantizedBias result{std::vector<int32_t>(bias.size()), {static_cast<float>(scale)}};
  quantize_per_tensor(bias, scale, 0, range_of(DType::int32), DType::int32, result.values.data());
  return result;
}

QuantizedBias quantize_bias(std::span<const float> bias, double input_scale, std::span<const float> weight_scales) {
  if (weight_scales.size() == 1) return quantize_bias(bias, input_scale, static_cast<double>(weight_scales[0]));
  if (weight_scales.size() != bias.size()) {
    throw_bad_input(
        fmt::format("bias of {} values with {} weight scales; expected one scale or one a channel", bias.size(), weight_scales.size()));
  }
  QuantizedBias result{std::vector<int32_t>(bias.size()), std::vector<float>(bias.size())};
  for (size_t i = 0; i < bias.size(); ++i) result.scales[i] = weight_scales[i] * static_cast<float>(input_scale);
  const int64_t zero_point = 0;
  quantize_per_channel(bias.data(), {1, static_cast<int64_t>(bias.size()), 1}, result.scales, {&zero_point, 1}, range_of(DType::int32),
                       DType::int32, result.values.data());
  return result;
}

}  // namespace intaglio::quant
