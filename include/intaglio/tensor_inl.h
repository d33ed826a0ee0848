// Template members of tensor.h.
#pragma once

#include <cstring>

#include <intaglio/error.h>
#include <intaglio/tensor.h>

namespace intaglio {

template <typename T>
constexpr DType dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, bool>) return DType::boolean;
  else if constexpr (std::is_same_v<U, float>) return DType::float32;
  else if constexpr (std::is_same_v<U, double>) return DType::float64;
  else if constexpr (std::is_integral_v<U> && sizeof(U) == 1) return std::is_signed_v<U> ? DType::int8 : DType::uint8;
  else if constexpr (std::is_integral_v<U> && sizeof(U) == 2) return std::is_signed_v<U> ? DType::int16 : DType::uint16;
  else if constexpr (std::is_integral_v<U> && sizeof(U) == 4) return std::is_signed_v<U> ? DType::int32 : DType::uint32;
  else {
    static_assert(std::is_integral_v<U> && sizeof(U) == 8, "no tensor element type");
    return std::is_signed_v<U> ? DType::int64 : DType::uint64;
  }
}

template <typename T>
Tensor Tensor::of(std::span<const T> values, Sizes sizes) {
  Tensor result = empty(dtype_of<T>(), std::move(sizes));
  if (static_cast<size_t>(result.numel()) != values.size()) throw_bug("Tensor::of: value count does not fit the sizes");
  if (!values.empty()) std::memcpy(result.mutable_raw(), values.data(), values.size_bytes());
  return result;
}
template <typename T>
Tensor Tensor::scalar(T value) {
  return of<T>(std::span<const T>(&value, 1), {});
}

template <typename T>
const T* Tensor::data() const {
  require(dtype_of<T>());
  return static_cast<const T*>(raw());
}
template <typename T>
std::span<const T> Tensor::span() const {
  if (!is_contiguous()) throw_bug("Tensor::span on a tensor that is not contiguous");
  return {data<T>(), static_cast<size_t>(numel_)};
}
template <typename T>
T* Tensor::mutable_data() {
  require(dtype_of<T>());
  return static_cast<T*>(mutable_raw());
}

}  // namespace intaglio
