#include "backends/coreml/lower/constants.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace intaglio::coreml {
namespace {

constexpr double largest_float16 = 65504, least_float16 = 0x1p-24, as_good_as_infinite = 1e38;
constexpr int64_t fewest_of_a_large_tensor = 400;

// What keeps from division by zero stays.
void keep_from_zero(Tensor& floats) {
  float* values = floats.mutable_data<float>();
  constexpr auto least = static_cast<float>(least_float16);
  for (int64_t i = 0; i < floats.numel(); ++i)
    if (values[i] != 0 && std::abs(values[i]) < least) values[i] = std::copysign(least, values[i]);
}

Tensor to_half(const Tensor& source) {
  Tensor floats = converted(source, DType::float32);
  if (floats.numel() < fewest_of_a_large_tensor) {
    floats = floats.clone();
    keep_from_zero(floats);
  }
  return converted(floats, DType::float16);
}

Tensor to_int32(const Tensor& source) {
  Tensor wide = converted(source, DType::int64).clone();
  int64_t* values = wide.mutable_data<int64_t>();
  for (int64_t i = 0; i < wide.numel(); ++i)
    values[i] = std::clamp<int64_t>(values[i], std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
  return converted(wide, DType::int32);
}

Tensor in_type(const Tensor& tensor, DType type) {
  if (type == DType::float16) return to_half(tensor).contiguous();
  return (type == DType::int32 ? to_int32(tensor) : converted(tensor, type)).contiguous();
}

}  // namespace

Literal constant_literal(const Tensor& tensor, DataType type) {
  const DType dtype = *row_of(type).dtype;
  if (tensor.dtype() == dtype && tensor.is_contiguous()) return literal(tensor);
  const uint64_t size = static_cast<uint64_t>(tensor.numel()) * item_size(dtype);
  return {type, tensor.sizes(), Blob(size, [tensor, dtype](const Blob::Sink& sink) {
            const Tensor made = in_type(tensor.for_one_use(), dtype);
            sink({static_cast<const std::byte*>(made.raw()), made.nbytes()});
          })};
}

bool is_beyond_float16(double number) { return std::abs(number) > largest_float16 && std::abs(number) < as_good_as_infinite; }

bool is_beyond_float16(const Tensor& tensor) {
  if (tensor.dtype() != DType::float32) return false;
  const Tensor floats = tensor.for_one_use().contiguous();
  return std::ranges::any_of(floats.span<float>(), [](float number) { return is_beyond_float16(double{number}); });
}

}  // namespace intaglio::coreml
