#include "quant/blocks.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/threads.h"
#include "quant/kernels/kernels.h"
#include "quant/narrow.h"

namespace intaglio::quant {
namespace {

// PyTorch's result of one operation of that type, from double: two roundings only where the type is narrower than float32.
double rounded_from(DType dtype, double value) { return dtype == DType::float64 ? value : rounded_to(dtype, static_cast<float>(value)); }

Tensor floats_of(const Tensor& x, const char* what) {
  if (x.dtype() != DType::float32 && x.dtype() != DType::float16 && x.dtype() != DType::bfloat16)
    throw_bad_input(fmt::format("{}: expected a float32, float16 or bfloat16 tensor, got {}", what, name(x.dtype())));
  return (x.dtype() == DType::float32 ? x : converted(x, DType::float32)).contiguous();
}

// Runs of a tensor, several to a task.
template <typename Run>
void over_runs(const Blocks& blocks, int64_t elements, int threads, const Run& run) {
  constexpr size_t task_size = 1 << 16;
  const size_t length = blocks.run_length(), total = static_cast<size_t>(elements);
  if (total == 0) return;
  const size_t step = (task_size + length - 1) / length * length, tasks = (total + step - 1) / step;
  parallel_for(tasks, threads, [&](size_t i) { blocks.for_each_run(i * step, std::min(total, (i + 1) * step), run); });
}

// The numbers of a parameter tensor, one for all or one a block.
class PerBlock {
 public:
  PerBlock(const Tensor& tensor, const Blocks& blocks, const char* what) {
    if (!tensor.defined()) return;
    const Tensor wide = converted(tensor, DType::float64).contiguous();
    values_.assign(wide.span<double>().begin(), wide.span<double>().end());
    if (values_.size() != 1 && values_.size() != blocks.count())
      throw_bad_input(fmt::format("{} {} for {} blocks; expected one or {}", values_.size(), what, blocks.count(), blocks.count()));
  }
  double operator[](size_t block) const { return values_.empty() ? 0 : values_[values_.size() == 1 ? 0 : block]; }

 private:
  std::vector<double> values_;
};

template <typename T>
void quantize_run(std::span<const float> x, double inverse, double zero_point, const QuantRange& range, DType arithmetic, BlockOrder order,
                  T* q) {
  for (size_t i = 0; i < x.size(); ++i) {
    double value = rounded_from(arithmetic, static_cast<double>(x[i]) * inverse);
    if (order == BlockOrder::torchao) value = rounded_from(arithmetic, std::nearbyint(value) + zero_point);
    else value = std::nearbyint(rounded_from(arithmetic, value + zero_point));
    value = std::clamp(value, static_cast<double>(range.min), static_cast<double>(range.max));
    q[i] = static_cast<T>(std::isnan(value) ? 0 : static_cast<int64_t>(value));
  }
}

template <typename Function>
void with_integer_type(DType dtype, const Function& function) {
  switch (dtype) {
    case DType::int8: return function(int8_t{});
    case DType::uint8: return function(uint8_t{});
    case DType::int16: return function(int16_t{});
    case DType::uint16: return function(uint16_t{});
    case DType::int32: return function(int32_t{});
    default: throw_bad_input(fmt::format("blocks of {}; expected int8, uint8, int16, uint16 or int32", name(dtype)));
  }
}

Tensor in_type(const Tensor& floats, DType dtype) { return dtype == DType::float32 ? floats : converted(floats, dtype); }

}  // namespace

Blocks::Blocks(const Sizes& sizes, std::span<const int64_t> block_size) : sizes_(sizes), block_(sizes) {
  if (block_size.size() > sizes.size())
    throw_bad_input(fmt::format("a block size of {} dimensions for a tensor of rank {}", block_size.size(), sizes.size()));
  for (size_t dim = 0; dim < sizes.size(); ++dim) {
    if (dim < block_size.size() && block_size[dim] != whole_dimension) block_[dim] = block_size[dim];
    if (sizes[dim] == 0) {
      count_ *= block_[dim] == 0;  // one block that is all of it, or none
      continue;
    }
    if (block_[dim] <= 0 || sizes[dim] % block_[dim] != 0)
      throw_bad_input(fmt::format("a block size of {} does not divide dimension {} of size {}", block_[dim], dim, sizes[dim]));
    count_ *= sizes[dim] / block_[dim];
  }
}

size_t Blocks::block_of(size_t element) const {
  auto rest = static_cast<int64_t>(element);
  int64_t block = 0, stride = 1;
  for (size_t dim = sizes_.size(); dim-- > 0; rest /= sizes_[dim]) {
    block += rest % sizes_[dim] / block_[dim] * stride;
    stride *= sizes_[dim] / block_[dim];
  }
  return static_cast<size_t>(block);
}

double smallest_normal(DType dtype) { return dtype == DType::float16 ? 0x1p-14 : 0x1p-126; }

ScaleZeroPoint choose_qparams(float min, float max, MappingType mapping, QuantRange range, double eps, DType arithmetic) {
  const float low = std::min(min, 0.0f), high = std::max(max, 0.0f);
  const auto divided = [&](float value, double by) { return rounded_to(arithmetic, value / static_cast<float>(by)); };
  const auto width = static_cast<double>(range.max - range.min);
  float scale = 0;
  switch (mapping) {
    case MappingType::symmetric: scale = divided(std::max(-low, high), width / 2); break;
    case MappingType::symmetric_no_clipping_err:
      scale = std::max(divided(low, static_cast<double>(range.min)), divided(high, static_cast<double>(range.max)));
      break;
    case MappingType::asymmetric: scale = divided(rounded_to(arithmetic, high - low), width); break;
  }
  scale = std::max(scale, static_cast<float>(eps));
  if (mapping != MappingType::asymmetric) return {scale, (range.max + range.min + 1) / 2};
  const float steps = std::nearbyint(rounded_to(arithmetic, low / scale));
  const float zero_point = rounded_to(arithmetic, static_cast<float>(range.min) - steps);
  const float inside = std::clamp(zero_point, static_cast<float>(range.min), static_cast<float>(range.max));
  return {scale, std::isnan(inside) ? 0 : static_cast<int64_t>(inside)};
}

ScalesAndZeroPoints choose_qparams_in_blocks(const Tensor& x, const ChooseOptions& options, int threads) {
  const Tensor values = floats_of(x, "choose_qparams");
  const Blocks blocks(x.sizes(), options.block_size);
  const double eps = options.eps.value_or(smallest_normal(x.dtype()));
  Sizes sizes;
  for (size_t dim = 0; dim < x.sizes().size(); ++dim) {
    const int64_t size = x.sizes()[dim], block = blocks.block()[dim];
    if (options.keepdim || block == 1 || block != size) sizes.push_back(block == 0 ? 0 : size / block);
  }
  Tensor scale = Tensor::empty(DType::float32, sizes), zero_point = Tensor::empty(DType::int64, sizes);
  std::vector<float> low(blocks.count(), INFINITY), high(blocks.count(), -INFINITY);
  const auto widen = [&](size_t first, size_t count, size_t block) {
    const MinMax range = kernels().min_max(values.data<float>() + first, count);
    low[block] = range.has_nan ? NAN : std::min(low[block], range.min);
    high[block] = range.has_nan ? NAN : std::max(high[block], range.max);
  };
  // A block of several runs is one task's.
  const bool one_run_each =
      std::all_of(blocks.block().begin(), blocks.block().end() - (blocks.block().empty() ? 0 : 1), [](int64_t size) { return size == 1; });
  over_runs(blocks, x.numel(), one_run_each ? threads : 1, widen);
  for (size_t block = 0; block < blocks.count(); ++block) {
    const ScaleZeroPoint chosen = choose_qparams(low[block], high[block], options.mapping, options.range, eps, x.dtype());
    scale.mutable_data<float>()[block] = std::isnan(low[block]) ? NAN : chosen.scale;
    zero_point.mutable_data<int64_t>()[block] = chosen.zero_point;
  }
  return {in_type(scale, options.scale_dtype), converted(zero_point, options.zero_point_dtype)};
}

ScalesAndZeroPoints choose_qparams_per_token(const Tensor& x, bool asymmetric) {
  const Tensor values = floats_of(x, "choose_qparams_per_token");
  if (x.rank() == 0 || x.sizes().back() == 0) throw_bad_input("choose_qparams_per_token: there are no rows, or empty ones");
  Sizes sizes = x.sizes();
  const auto row = static_cast<size_t>(sizes.back());
  sizes.back() = 1;
  // Without a zero point the scale is found in float32 even for float16.
  const DType type = asymmetric || x.dtype() == DType::bfloat16 ? x.dtype() : DType::float32;
  const auto in = [&](float value) { return rounded_to(type, value); };
  Tensor scales = Tensor::empty(DType::float32, sizes), zero_points = Tensor::zeros(DType::int64, sizes);
  for (size_t i = 0; i < static_cast<size_t>(scales.numel()); ++i) {
    const MinMax range = kernels().min_max(values.data<float>() + i * row, row);
    const float low = std::min(range.min, 0.0f), high = std::max(range.max, 0.0f);
    float& scale = scales.mutable_data<float>()[i];
    if (!asymmetric) {
      scale = in(std::max(std::max(-low, high), in(1e-5f)) / 127.0f);
      continue;
    }
    scale = std::max(in(in(high - low) / 255.0f), 0x1p-23f);
    const float from_low = in(low / scale), from_high = in(high / scale);
    const bool low_is_off = in(in(-128.0f + from_low) + in(127.0f + from_high)) > 0;
    const float zero_point = low_is_off ? in(-128.0f - from_low) : in(127.0f - from_high);
    zero_points.mutable_data<int64_t>()[i] = static_cast<int64_t>(std::nearbyint(std::clamp(zero_point, -128.0f, 127.0f)));
  }
  if (asymmetric) return {converted(scales, DType::float64), std::move(zero_points)};
  return {in_type(scales, type), converted(zero_points, type)};
}

Tensor quantize_in_blocks(const Tensor& x, const BlockParams& params, DType dtype, BlockOrder order, int threads) {
  const Tensor values = floats_of(x, "quantize");
  const Blocks blocks(x.sizes(), params.block_size);
  const PerBlock scales(params.scale, blocks, "scales"), zero_points(params.zero_point, blocks, "zero points");
  const DType scale_type = params.scale.dtype(), arithmetic = promote(x.dtype(), scale_type);
  Tensor result = Tensor::empty(dtype, x.sizes());
  void* q = result.mutable_raw();
  const bool plain = arithmetic == DType::float32 && order == BlockOrder::torchao && dtype == DType::int8;
  with_integer_type(dtype, [&](auto integer) {
    using T = decltype(integer);
    over_runs(blocks, x.numel(), threads, [&](size_t first, size_t count, size_t block) {
      const double inverse = rounded_from(scale_type, 1.0 / scales[block]), zero_point = zero_points[block];
      const float* from = values.data<float>() + first;
      T* to = static_cast<T*>(q) + first;
      if (!plain) return quantize_run({from, count}, inverse, zero_point, params.range, arithmetic, order, to);
      const auto shift = static_cast<float>(zero_point);
      const QuantizeStep step{static_cast<float>(inverse), static_cast<float>(params.range.min) - shift,
                              static_cast<float>(params.range.max) - shift, shift};
      kernels().quantize_int8(from, count, step, reinterpret_cast<int8_t*>(to));
    });
  });
  return result;
}

Tensor dequantize_in_blocks(const Tensor& q, const BlockParams& params, DType out_dtype, BlockOrder order, int threads) {
  const Blocks blocks(q.sizes(), params.block_size);
  const PerBlock scales(params.scale, blocks, "scales"), zero_points(params.zero_point, blocks, "zero points");
  const DType scale_type = params.scale.dtype();
  const DType arithmetic = order == BlockOrder::torchao ? promote(out_dtype, scale_type) : scale_type;
  const Tensor codes = q.contiguous();
  Tensor result = Tensor::empty(DType::float32, q.sizes());
  auto* x = result.mutable_data<float>();
  with_integer_type(q.dtype(), [&](auto integer) {
    using T = decltype(integer);
    over_runs(blocks, q.numel(), threads, [&](size_t first, size_t count, size_t block) {
      const T* from = static_cast<const T*>(codes.raw()) + first;
      const double scale = scales[block], zero_point = zero_points[block];
      if constexpr (std::is_same_v<T, int8_t>)
        if (arithmetic == DType::float32)
          return kernels().dequantize_int8(from, count, static_cast<float>(zero_point), static_cast<float>(scale), x + first);
      for (size_t i = 0; i < count; ++i) {
        double value = static_cast<double>(from[i]) - zero_point;
        if (order == BlockOrder::torchao) value = rounded_from(out_dtype, value);
        x[first + i] = static_cast<float>(rounded_from(arithmetic, value * scale));
      }
    });
  });
  return in_type(result, out_dtype);
}

Tensor dequantize_code_book(const Tensor& q, const Tensor& book, int64_t bits, std::span<const int64_t> block_size, DType out_dtype) {
  const Blocks blocks(q.sizes(), block_size);
  if (bits < 1 || bits > 8) throw_bad_input(fmt::format("a code book of {} bits; expected 1 to 8", bits));
  const auto values_each = size_t{1} << bits;
  const Tensor values = converted(converted(book, out_dtype), DType::float32).contiguous(), codes = converted(q, DType::int64).contiguous();
  if (static_cast<size_t>(values.numel()) != blocks.count() * values_each)
    throw_bad_input(
        fmt::format("a code book of {} values; expected {} for each of {} blocks", values.numel(), values_each, blocks.count()));
  Tensor result = Tensor::empty(DType::float32, q.sizes());
  auto* x = result.mutable_data<float>();
  blocks.for_each_run([&](size_t first, size_t count, size_t block) {
    for (size_t i = first; i < first + count; ++i) {
      const int64_t code = codes.data<int64_t>()[i];
      if (code < 0 || static_cast<size_t>(code) >= values_each)
        throw_bad_input(fmt::format("the code {} of a book of {} values", code, values_each));
      x[i] = values.data<float>()[block * values_each + static_cast<size_t>(code)];
    }
  });
  return in_type(result, out_dtype);
}

}  // namespace intaglio::quant
