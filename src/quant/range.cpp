#include "quant/range.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/parts.h"
#include "quant/kernels/kernels.h"

namespace intaglio::quant {
namespace {

[[noreturn]] void throw_nan() { throw_bad_input("the tensor holds NaN; repair the checkpoint or the samples, or keep the layer in float"); }

Tensor dense_float32(const Tensor& tensor) {
  if (!is_floating(tensor.dtype()) || item_size(tensor.dtype()) < 2) {
    throw_bad_input(fmt::format("expected a float32, float16, bfloat16 or float64 tensor, got {}", name(tensor.dtype())));
  }
  const Tensor dense = tensor.numel() > 0 && tensor.is_dense() ? tensor : tensor.contiguous();
  if (dense.dtype() == DType::float32) return dense;
  const Tensor flat = converted(dense.view_as({dense.numel()}, {1}, dense.storage_offset()), DType::float32);
  return flat.view_as(dense.sizes(), dense.strides(), flat.storage_offset());
}

}  // namespace

FloatElements::FloatElements(const Tensor& tensor)
    : tensor_(dense_float32(tensor.for_one_use())), values_(tensor_.data<float>(), static_cast<size_t>(tensor_.numel())) {}

Range range_of_values(std::span<const float> values) {
  if (values.empty()) throw_bug("range of no values");
  const MinMax found = kernels().min_max(values.data(), values.size());
  if (found.has_nan) throw_nan();
  return {found.min, found.max};
}

Range range_of_values(const Tensor& tensor) {
  if (!is_read_in_parts(tensor)) return range_of_values(FloatElements(tensor).values());
  Range range{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
  for_each_part(tensor, [&](int64_t, const Tensor& rows) {
    const Range part = range_of_values(FloatElements(rows).values());
    range = {std::min(range.min, part.min), std::max(range.max, part.max)};
  });
  return range;
}

static ChannelRanges ranges_of_channels(const Tensor& tensor, int64_t axis) {
  const FloatElements elements(tensor);
  const size_t channels = static_cast<size_t>(tensor.size(axis));
  constexpr float infinity = std::numeric_limits<float>::infinity();
  ChannelRanges result{std::vector<float>(channels, infinity), std::vector<float>(channels, -infinity)};
  const size_t count = elements.values().size();
  const size_t inner = channels == 1 ? count : static_cast<size_t>(elements.tensor().strides()[static_cast<size_t>(axis)]);
  const bool has_nan = kernels().min_max_channels(elements.values().data(), count / (channels * inner), channels, inner, result.min.data(),
                                                  result.max.data());
  if (has_nan) throw_nan();
  return result;
}

ChannelRanges channel_ranges(const Tensor& tensor, int64_t axis) {
  const int64_t positive = axis < 0 ? axis + tensor.rank() : axis;
  if (positive < 0 || positive >= tensor.rank()) {
    throw_bad_input(fmt::format("channel axis {} of a tensor of rank {}", axis, tensor.rank()));
  }
  if (tensor.numel() == 0) throw_bug("range of no values");
  if (positive == 0 && is_read_in_parts(tensor)) {
    ChannelRanges result;
    for_each_part(tensor, [&](int64_t, const Tensor& rows) {
      const ChannelRanges part = ranges_of_channels(rows, 0);
      result.min.insert(result.min.end(), part.min.begin(), part.min.end());
      result.max.insert(result.max.end(), part.max.begin(), part.max.end());
    });
    return result;
  }
  return ranges_of_channels(tensor, positive);
}

}  // namespace intaglio::quant
