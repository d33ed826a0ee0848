// Elements of tensors as C++ numbers.
#pragma once

#include <type_traits>

#include <intaglio/dtype.h>

namespace intaglio {

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};
// A file's bool may hold any byte; reading it as C++ bool would be undefined.
template <typename T>
using Stored = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

// Calls `body` with a value of the type; false for one that nothing is computed in (complex and 8-bit floats).
template <typename Body>
bool with_element_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::uint8: return body(uint8_t{}), true;
    case DType::int8: return body(int8_t{}), true;
    case DType::int16: return body(int16_t{}), true;
    case DType::int32: return body(int32_t{}), true;
    case DType::int64: return body(int64_t{}), true;
    case DType::uint16: return body(uint16_t{}), true;
    case DType::uint32: return body(uint32_t{}), true;
    case DType::uint64: return body(uint64_t{}), true;
    case DType::float16: return body(Half{}), true;
    case DType::bfloat16: return body(BFloat{}), true;
    case DType::float32: return body(float{}), true;
    case DType::float64: return body(double{}), true;
    case DType::boolean: return body(bool{}), true;
    default: return false;
  }
}

// Float to integer as PyTorch's CPU kernels do on x86: truncation, through int64 for the narrow types.
template <typename To, typename From>
To number_as(From value) {
  if constexpr (std::is_same_v<From, Half>) return number_as<To>(half_to_float(value.bits));
  else if constexpr (std::is_same_v<From, BFloat>) return number_as<To>(bfloat16_to_float(value.bits));
  else if constexpr (std::is_same_v<To, Half>) return Half{float_to_half(static_cast<float>(value))};
  else if constexpr (std::is_same_v<To, BFloat>) return BFloat{float_to_bfloat16(static_cast<float>(value))};
  else if constexpr (std::is_same_v<To, bool>) return value != From{0};
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    const double wide = static_cast<double>(value);
    if (std::is_same_v<To, uint64_t> && wide >= 0x1p63 && wide < 0x1p64) return static_cast<To>(wide);
    return static_cast<To>(wide > -0x1p63 && wide < 0x1p63 ? static_cast<int64_t>(wide) : INT64_MIN);
  } else return static_cast<To>(value);
}

}  // namespace intaglio
