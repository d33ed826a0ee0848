#include "quant/intx.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <vector>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/threads.h"
#include "quant/blocks.h"
#include "quant/kernels/kernels.h"
#include "quant/narrow.h"

namespace intaglio::quant {
namespace {

constexpr int most_steps = 20;
constexpr float settled = 1e-5f;  // relative change of a scale

unsigned dropped_bits(DType dtype) { return dtype == DType::float16 ? 13 : dtype == DType::bfloat16 ? 16 : 0; }

class IntxQuantizer {
 public:
  IntxQuantizer(const Tensor& weight, const IntxSettings& settings, int threads, int64_t first_row)
      : weight_(weight.for_one_use().contiguous()),
        settings_(settings),
        range_(intx_range(settings.bits)),
        type_(weight.dtype()),
        scale_type_(settings.scale_dtype.value_or(type_)),
        size_(static_cast<size_t>(settings.group_size)),
        groups_(static_cast<size_t>(weight.numel() / settings.group_size)),
        threads_(threads),
        first_row_(static_cast<size_t>(first_row)) {
    const Sizes sizes = {weight.size(0), weight.size(1) / settings.group_size};
    result_ = {Tensor::empty(DType::int8, weight.sizes()), Tensor::empty(scale_type_, sizes), Tensor::zeros(DType::int8, sizes)};
    codes_ = result_.codes.mutable_data<int8_t>();
    zero_points_ = result_.zero_point.mutable_data<int8_t>();
    scale_bytes_ = static_cast<std::byte*>(result_.scale.mutable_raw());
  }

  IntxWeight run() && {
    if (settings_.fit_scale) fit();
    else over_parts([&](size_t first, std::span<const float> values) { quantize_by_range(first, values); });
    return std::move(result_);
  }

 private:
  // Groups a task takes at a time, so that its values stay near the processor.
  template <typename Body>
  void over_parts(const Body& body) {
    const size_t part = std::max<size_t>(1, (1 << 14) / size_), parts = (groups_ + part - 1) / part;
    const Tensor flat = weight_.reshaped({weight_.numel()});
    parallel_for(parts, threads_, [&](size_t i) {
      const size_t first = i * part, count = std::min(part, groups_ - first) * size_;
      const Tensor values = flat.narrowed(0, static_cast<int64_t>(first * size_), static_cast<int64_t>(count));
      const Tensor floats = type_ == DType::float32 ? values : converted(values, DType::float32);
      body(first, std::span<const float>(floats.data<float>(), count));
    });
  }

  [[noreturn]] void not_finite(size_t group) const {
    const auto in_row = groups_ / static_cast<size_t>(weight_.size(0));
    throw_bad_input(fmt::format(
        "the weight's row {} has NaN, infinity, or a range that {} cannot hold; keep the layer in float or repair the checkpoint",
        first_row_ + group / in_row, name(type_ == DType::float32 ? scale_type_ : type_)));
  }

  void store_scale(size_t group, float scale) {
    if (scale_type_ == DType::float32) reinterpret_cast<float*>(scale_bytes_)[group] = scale;
    else reinterpret_cast<uint16_t*>(scale_bytes_)[group] = scale_type_ == DType::float16 ? float_to_half(scale) : float_to_bfloat16(scale);
  }

  GroupStep step(DType arithmetic) const {
    return {static_cast<float>(range_.min), static_cast<float>(range_.max), dropped_bits(arithmetic)};
  }

  // Scales as they are stored, in `scale`; then the codes.
  void quantize_with(size_t first, std::span<const float> values, std::span<const float> scale) {
    std::vector<float> inverse(scale.size());
    for (size_t g = 0; g < scale.size(); ++g) {
      if (!std::isfinite(scale[g])) not_finite(first + g);
      store_scale(first + g, scale[g]);
      inverse[g] = rounded_to(scale_type_, 1.0f / scale[g]);
    }
    GroupStep by = step(promote(type_, scale_type_));
    by.is_bounded = is_float32();
    kernels().quantize_groups(values.data(), scale.size(), size_, inverse.data(), zero_points_ + first, by, codes_ + first * size_);
  }

  bool is_float32() const { return type_ == DType::float32 && scale_type_ == DType::float32; }

  void quantize_by_range(size_t first, std::span<const float> values) {
    const size_t count = values.size() / size_;
    const double eps = smallest_normal(type_);
    if (is_float32() && settings_.mapping == MappingType::symmetric) {
      const auto half_range = static_cast<float>(range_.max - range_.min) / 2;
      const size_t good = kernels().quantize_symmetric(values.data(), count, size_, half_range, static_cast<float>(eps), step(type_),
                                                       reinterpret_cast<float*>(scale_bytes_) + first, codes_ + first * size_);
      if (good < count) not_finite(first + good);
      return;
    }
    std::vector<float> low(count), high(count), scale(count);
    kernels().group_ranges(values.data(), count, size_, low.data(), high.data());
    for (size_t g = 0; g < count; ++g) {
      const ScaleZeroPoint chosen = choose_qparams(low[g], high[g], settings_.mapping, range_, eps, type_);
      if (std::isnan(low[g]) || !std::isfinite(chosen.scale)) not_finite(first + g);
      scale[g] = rounded_to(scale_type_, chosen.scale);
      zero_points_[first + g] = static_cast<int8_t>(chosen.zero_point);
    }
    quantize_with(first, values, scale);
  }

  // A group's scales do not depend on other groups but for the number of steps, which the largest change of all decides. So each
  // group goes on until it changes no more, and the few that would have been stopped before that are done again.
  void fit() {
    std::vector<uint8_t> steps(groups_);
    std::array<float, most_steps> change{};
    std::mutex mutex;
    over_parts([&](size_t first, std::span<const float> values) {
      std::array<float, most_steps> own{};
      fit_part(first, values, most_steps, &steps[first], own);
      const std::lock_guard lock(mutex);
      for (size_t i = 0; i < change.size(); ++i) change[i] = std::max(change[i], own[i]);
    });
    const auto last = std::find_if(change.begin(), change.end(), [](float largest) { return largest < settled; });
    const int taken = static_cast<int>(std::min<std::ptrdiff_t>(last - change.begin() + 1, most_steps));
    if (std::ranges::none_of(steps, [&](uint8_t own) { return own > taken; })) return;
    over_parts([&](size_t first, std::span<const float> values) {
      std::array<float, most_steps> unused{};
      for (size_t i = 0; i < values.size(); i += size_)
        if (const size_t g = first + i / size_; steps[g] > taken) fit_part(g, values.subspan(i, size_), taken, &steps[g], unused);
    });
  }

  void fit_part(size_t first, std::span<const float> values, int most, uint8_t* steps, std::array<float, most_steps>& change) {
    std::vector<float> scale(values.size() / size_);
    kernels().group_magnitudes(values.data(), scale.size(), size_, scale.data());
    const auto largest = static_cast<float>(std::max(-range_.min, range_.max));
    for (size_t g = 0; g < scale.size(); ++g) {
      scale[g] /= largest;
      if (!std::isfinite(scale[g])) not_finite(first + g);
      scale[g] = std::max(scale[g], 0x1p-23f);
    }
    kernels().refine_scales(values.data(), scale.size(), size_, step(DType::float32), most, scale.data(), steps, change.data());
    if (scale_type_ != type_) {
      for (float& s : scale) s = rounded_to(scale_type_, rounded_to(type_, s));
      return quantize_with(first, values, scale);
    }
    kernels().quantize_scaled_groups(values.data(), scale.size(), size_, scale.data(), step(DType::float32), codes_ + first * size_);
    for (size_t g = 0; g < scale.size(); ++g) {
      if (!std::isfinite(scale[g])) not_finite(first + g);  // a sum of huge values
      store_scale(first + g, scale[g]);
    }
  }

  Tensor weight_;
  const IntxSettings& settings_;
  QuantRange range_;
  DType type_, scale_type_;
  size_t size_, groups_;
  int threads_;
  size_t first_row_;
  IntxWeight result_;
  int8_t *codes_, *zero_points_;
  std::byte* scale_bytes_;
};

}  // namespace

QuantRange intx_range(int bits) { return {-(int64_t{1} << (bits - 1)), (int64_t{1} << (bits - 1)) - 1}; }

IntxWeight quantize_intx(const Tensor& weight, const IntxSettings& settings, int threads, int64_t first_row) {
  if (weight.rank() != 2 || weight.numel() == 0 || settings.group_size < 1 || weight.size(1) % settings.group_size != 0)
    throw_bug("quantize_intx: a weight that its groups do not divide");
  return IntxQuantizer(weight, settings, threads, first_row).run();
}

}  // namespace intaglio::quant
