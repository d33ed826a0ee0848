#include "backends/vulkan/lower/constants.h"

#include <algorithm>

namespace intaglio::vulkan {
namespace {

Tensor to_half(const Tensor& source) {
  constexpr float largest = 65504;
  Tensor clamped = converted(source, DType::float32).clone();
  float* values = clamped.mutable_data<float>();
  for (int64_t i = 0; i < clamped.numel(); ++i)
    if (values[i] > largest || values[i] < -largest) values[i] = std::clamp(values[i], -largest, largest);
  return converted(clamped, DType::float16);
}

Tensor in_type(const Tensor& tensor, DType type) {
  if (tensor.dtype() == type) return tensor.contiguous();
  return (type == DType::float16 ? to_half(tensor) : converted(tensor, type)).contiguous();
}

}  // namespace

Blob constant_bytes(const Tensor& tensor, DType type) {
  if (tensor.dtype() == type && tensor.is_contiguous()) return Blob(tensor);
  const uint64_t size = static_cast<uint64_t>(tensor.numel()) * item_size(type);
  return Blob(size, [tensor, type](const Blob::Sink& sink) {
    const Tensor made = in_type(tensor.for_one_use(), type);
    sink({static_cast<const std::byte*>(made.raw()), made.nbytes()});
  });
}

}  // namespace intaglio::vulkan
