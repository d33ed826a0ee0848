// The tensor forms of affine.h: types, layouts and checks around the loops over memory.
#include <bit>
#include <vector>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "quant/affine.h"
#include "quant/blocks.h"
#include "quant/narrow.h"

namespace intaglio::quant {
namespace {

Tensor dense(const Tensor& x) { return x.numel() > 0 && x.is_dense() ? x : x.contiguous(); }

// The elements of a dense tensor in memory order, as a 1-d tensor of the same storage.
Tensor memory_of(const Tensor& x) { return x.view_as({x.numel()}, {1}, x.storage_offset()); }

// float32 elements in memory order.
Tensor float_memory(const Tensor& x, const char* what) {
  if (x.dtype() != DType::float32 && x.dtype() != DType::float16 && x.dtype() != DType::bfloat16) {
    throw_bad_input(fmt::format("{}: expected a float32, float16 or bfloat16 tensor, got {}", what, name(x.dtype())));
  }
  return x.dtype() == DType::float32 ? memory_of(x) : converted(memory_of(x), DType::float32);
}

void check_integer(const Tensor& q, const char* what) {
  if (q.dtype() == DType::int8 || q.dtype() == DType::uint8 || q.dtype() == DType::int16 || q.dtype() == DType::uint16 ||
      q.dtype() == DType::int32) {
    return;
  }
  throw_bad_input(fmt::format("{}: expected an int8, uint8, int16, uint16 or int32 tensor, got {}", what, name(q.dtype())));
}

void check_out_dtype(DType dtype, const char* what) {
  if (dtype != DType::float32 && dtype != DType::float16 && dtype != DType::bfloat16) {
    throw_bad_input(fmt::format("{}: out_dtype {} is not float32, float16 or bfloat16", what, name(dtype)));
  }
}

struct Channels {
  int64_t axis;
  ChannelLayout layout;
};

// How the axis lies in the memory of a dense tensor: whatever the order of the dimensions, an index of the axis repeats
// every stride * size elements.
Channels channels_of(const Tensor& x, int64_t axis, std::span<const float> scales, std::span<const int64_t> zero_points, const char* what) {
  const int64_t positive = axis < 0 ? axis + x.rank() : axis;
  if (positive < 0 || positive >= x.rank()) { throw_bad_input(fmt::format("{}: axis {} of a tensor of rank {}", what, axis, x.rank())); }
  const int64_t size = x.size(positive);
  const auto fits = [&](size_t count) { return count == 1 || count == static_cast<size_t>(size); };
  if (!fits(scales.size()) || !fits(zero_points.size())) {
    throw_bad_input(fmt::format("{}: {} scales and {} zero points for axis {} of size {}; expected one or {} of each", what, scales.size(),
                                zero_points.size(), positive, size, size));
  }
  if (x.numel() == 0) return {positive, {0, 0, 0}};
  if (size == 1) return {positive, {1, 1, x.numel()}};
  const int64_t inner = x.strides()[static_cast<size_t>(positive)];
  return {positive, {x.numel() / (size * inner), size, inner}};
}

// A tensor like `x` of another type; `fill` writes its elements in memory order.
template <typename Fill>
Tensor like(const Tensor& x, DType dtype, Fill fill) {
  Tensor result = Tensor::empty_strided(dtype, x.sizes(), x.strides());
  if (x.numel() > 0) fill(result.mutable_raw());
  return result;
}

Tensor like_from_floats(const Tensor& x, DType dtype, const std::vector<float>& values) {
  const Tensor narrow = converted(Tensor::of<float>(values, {x.numel()}), dtype);
  return narrow.view_as(x.sizes(), x.strides(), narrow.storage_offset());
}

}  // namespace

Tensor quantize_per_tensor(const Tensor& input, double scale, int64_t zero_point, QuantRange range, DType dtype) {
  const Tensor x = dense(input);
  const Tensor values = float_memory(x, "quantize_per_tensor");
  return like(x, dtype, [&](void* q) { quantize_per_tensor(values.span<float>(), scale, zero_point, range, dtype, q); });
}

Tensor dequantize_per_tensor(const Tensor& input, double scale, int64_t zero_point, DType out_dtype) {
  check_integer(input, "dequantize_per_tensor");
  check_out_dtype(out_dtype, "dequantize_per_tensor");
  const Tensor q = dense(input);
  const size_t count = static_cast<size_t>(q.numel());
  if (out_dtype == DType::float32) {
    return like(q, out_dtype,
                [&](void* x) { dequantize_per_tensor(q.raw(), q.dtype(), scale, zero_point, {static_cast<float*>(x), count}); });
  }
  // (q - zero_point) * scale, with q, zero_point, the difference and the product rounded to the narrow type.
  const Tensor floats = converted(memory_of(q), DType::float32);
  std::vector<float> values(count);
  const float narrow_scale = static_cast<float>(scale);
  const float narrow_zero_point = rounded_to(out_dtype, static_cast<float>(zero_point));
  for (size_t i = 0; i < count; ++i) {
    const float value = rounded_to(out_dtype, floats.span<float>()[i]);
    values[i] = rounded_to(out_dtype, value - narrow_zero_point) * narrow_scale;
  }
  return like_from_floats(q, out_dtype, values);
}

Tensor quantize_per_channel(const Tensor& input, std::span<const float> scales, std::span<const int64_t> zero_points, int64_t axis,
                            QuantRange range, DType dtype) {
  const Tensor x = dense(input);
  const Tensor values = float_memory(x, "quantize_per_channel");
  const Channels channels = channels_of(x, axis, scales, zero_points, "quantize_per_channel");
  return like(x, dtype,
              [&](void* q) { quantize_per_channel(values.data<float>(), channels.layout, scales, zero_points, range, dtype, q); });
}

Tensor dequantize_per_channel(const Tensor& input, std::span<const float> scales, std::span<const int64_t> zero_points, int64_t axis,
                              DType out_dtype) {
  check_integer(input, "dequantize_per_channel");
  check_out_dtype(out_dtype, "dequantize_per_channel");
  const Tensor q = dense(input);
  const Channels channels = channels_of(q, axis, scales, zero_points, "dequantize_per_channel");
  if (out_dtype == DType::float32) {
    return like(q, out_dtype,
                [&](void* x) { dequantize_per_channel(q.raw(), q.dtype(), channels.layout, scales, zero_points, static_cast<float*>(x)); });
  }
  std::vector<float> values(static_cast<size_t>(q.numel()));
  dequantize_per_channel(q.raw(), q.dtype(), channels.layout, scales, zero_points, values.data());
  return like_from_floats(q, out_dtype, values);
}

namespace {

std::vector<float> narrowed(const std::vector<double>& scales) { return {scales.begin(), scales.end()}; }

void check_one_scale(const QuantParams& params, const char* what) {
  if (params.scale.size() != 1 || params.zero_point.size() != 1)
    throw_bad_input(fmt::format("{}: per-tensor parameters with more than one scale or zero point", what));
}

template <typename T>
Tensor list_of(const std::vector<T>& values) {
  return Tensor::of<T>(std::span<const T>(values), {static_cast<int64_t>(values.size())});
}

BlockParams block_params(const QuantParams& params) {
  return {params.block_size, list_of(narrowed(params.scale)), list_of(params.zero_point), {params.quant_min, params.quant_max}};
}

}  // namespace

Tensor quantize(const Tensor& x, const QuantParams& params) {
  const QuantRange range{params.quant_min, params.quant_max};
  if (params.code_book) throw_unsupported("quantize: to the values of a code book");
  if (const auto axis = params.axis())
    return quantize_per_channel(x, narrowed(params.scale), params.zero_point, *axis, range, params.dtype);
  if (!params.is_per_tensor()) return quantize_in_blocks(x, block_params(params), params.dtype, BlockOrder::torchao);
  check_one_scale(params, "quantize");
  return quantize_per_tensor(x, params.scale[0], params.zero_point[0], range, params.dtype);
}

Tensor dequantize(const Tensor& q, const QuantParams& params, DType out_dtype) {
  const auto axis = params.axis();
  if (!params.code_book && axis) return dequantize_per_channel(q, narrowed(params.scale), params.zero_point, *axis, out_dtype);
  if (!params.code_book && params.is_per_tensor()) {
    check_one_scale(params, "dequantize");
    return dequantize_per_tensor(q, params.scale[0], params.zero_point[0], out_dtype);
  }
  check_out_dtype(out_dtype, "dequantize");
  if (params.code_book)
    return dequantize_code_book(q, *params.code_book, std::bit_width(static_cast<uint64_t>(params.quant_max)), params.block_size,
                                out_dtype);
  check_integer(q, "dequantize");
  return dequantize_in_blocks(q, block_params(params), out_dtype, BlockOrder::torchao);
}

}  // namespace intaglio::quant
