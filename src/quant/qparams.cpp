// Scale and zero point from a range.
#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "quant/affine.h"
#include "quant/narrow.h"
#include "quant/range.h"

namespace intaglio {

std::vector<int64_t> channel_blocks(int64_t axis) {
  if (axis < 0) throw_bug("a channel axis that counts from the back");
  std::vector<int64_t> blocks(static_cast<size_t>(axis), whole_dimension);
  blocks.push_back(1);
  return blocks;
}

std::optional<int64_t> QuantParams::axis() const {
  if (block_size.empty() || block_size.back() != 1) return std::nullopt;
  const auto before = block_size.end() - 1;
  const bool others_are_whole = std::all_of(block_size.begin(), before, [](int64_t size) { return size == whole_dimension; });
  return others_are_whole ? std::optional<int64_t>(before - block_size.begin()) : std::nullopt;
}

bool operator==(const QuantParams& a, const QuantParams& b) {
  const bool same_book = a.code_book && b.code_book ? bit_equal(*a.code_book, *b.code_book) : !a.code_book && !b.code_book;
  return a.scale == b.scale && a.zero_point == b.zero_point && a.block_size == b.block_size && a.quant_min == b.quant_min &&
         a.quant_max == b.quant_max && a.dtype == b.dtype && same_book;
}

}  // namespace intaglio

namespace intaglio::quant {
namespace {

void check_ordered(float min, float max) {
  if (!(min <= max)) {
    throw_bad_input(fmt::format("observed range [{}, {}] is not ascending; are there NaN values in the data?", min, max));
  }
}

// int32 as the x86 conversion gives it: NaN and everything outside becomes the lowest value.
int32_t to_int32(float value) {
  if (!(value >= -2147483648.0f && value < 2147483648.0f)) return std::numeric_limits<int32_t>::min();
  return static_cast<int32_t>(value);
}

// `arithmetic` is the tensor's type when the range is one of its values (dynamic quantization).
ScaleZeroPoint affine(float min, float max, QuantRange range, double eps, DType arithmetic) {
  check_ordered(min, max);
  const float low = std::min(min, 0.0f);
  const float high = std::max(max, 0.0f);
  const float width = rounded_to(arithmetic, high - low);
  float scale = rounded_to(arithmetic, width / static_cast<float>(range.max - range.min));
  scale = std::max(scale, static_cast<float>(eps));
  // int32 subtraction that wraps, as PyTorch's does; only infinite ranges come near.
  const uint32_t steps = static_cast<uint32_t>(to_int32(std::nearbyint(low / scale)));
  const int64_t zero_point = static_cast<int32_t>(static_cast<uint32_t>(range.min) - steps);
  return {scale, std::clamp(zero_point, range.min, range.max)};
}

ScaleZeroPoint symmetric(float min, float max, QuantRange range, double eps, int64_t zero_point, DType arithmetic) {
  check_ordered(min, max);
  const float largest = std::max(-std::min(min, 0.0f), std::max(max, 0.0f));
  const double half_width = static_cast<double>(range.max - range.min) / 2;
  const float scale = rounded_to(arithmetic, largest / static_cast<float>(half_width));
  return {std::max(scale, static_cast<float>(eps)), zero_point};
}

Range dynamic_range(const Tensor& x, DType dtype) {
  if (dtype != DType::int8 && dtype != DType::uint8) {
    throw_unsupported(fmt::format("dynamic quantization to {}; expected int8 or uint8", name(dtype)));
  }
  if (x.dtype() != DType::float32 && x.dtype() != DType::float16 && x.dtype() != DType::bfloat16) {
    throw_bad_input(fmt::format("choose_qparams: expected a float32, float16 or bfloat16 tensor, got {}", name(x.dtype())));
  }
  if (x.numel() == 0) return {0.0f, 0.0f};
  return range_of_values(x);
}

}  // namespace

ScaleZeroPoint choose_qparams_affine(float min, float max, QuantRange range, double eps) {
  return affine(min, max, range, eps, DType::float32);
}

ScaleZeroPoint choose_qparams_symmetric(float min, float max, QuantRange range, double eps, int64_t zero_point) {
  return symmetric(min, max, range, eps, zero_point, DType::float32);
}

int64_t symmetric_zero_point(const ObserverSettings& settings) {
  if (settings.dtype == DType::uint16) return 32768;
  if (settings.dtype != DType::uint8) return 0;
  if (!settings.quant_min || !settings.quant_max) return 128;
  const int64_t sum = *settings.quant_min + *settings.quant_max;
  return sum / 2;  // both are at least 0
}

QuantParams qparams_of_range(std::span<const float> min, std::span<const float> max, const ObserverSettings& settings, double eps,
                             bool per_channel) {
  const QuantRange range = range_of(settings);
  QuantParams params;
  params.quant_min = range.min;
  params.quant_max = range.max;
  params.dtype = settings.dtype;
  if (per_channel) params.block_size = channel_blocks(settings.ch_axis);
  constexpr float infinity = std::numeric_limits<float>::infinity();
  if (min.empty() || (!per_channel && min[0] == infinity && max[0] == -infinity)) {
    params.scale = {1.0f};
    params.zero_point = {0};
    return params;
  }
  const bool is_symmetric = settings.qscheme == QScheme::per_tensor_symmetric || settings.qscheme == QScheme::per_channel_symmetric;
  const int64_t middle = symmetric_zero_point(settings);
  for (size_t i = 0; i < min.size(); ++i) {
    const ScaleZeroPoint one =
        is_symmetric ? choose_qparams_symmetric(min[i], max[i], range, eps, middle) : choose_qparams_affine(min[i], max[i], range, eps);
    params.scale.push_back(one.scale);
    params.zero_point.push_back(one.zero_point);
  }
  return params;
}

ScaleZeroPoint choose_qparams(const Tensor& x, QuantRange range, double eps, DType dtype) {
  const Range values = dynamic_range(x, dtype);
  return affine(values.min, values.max, range, eps, x.dtype());
}

ScaleZeroPoint choose_qparams_symmetric(const Tensor& x, QuantRange range, double eps, DType dtype) {
  const Range values = dynamic_range(x, dtype);
  return symmetric(values.min, values.max, range, eps, dtype == DType::uint8 ? 128 : 0, x.dtype());
}

}  // namespace intaglio::quant
