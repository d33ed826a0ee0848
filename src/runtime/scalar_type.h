// ExecuTorch's numbering of element types.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include <intaglio/dtype.h>

namespace intaglio::runtime {

inline constexpr std::array<std::pair<uint8_t, DType>, 20> kScalarTypes{{
    {0, DType::uint8},
    {1, DType::int8},
    {2, DType::int16},
    {3, DType::int32},
    {4, DType::int64},
    {5, DType::float16},
    {6, DType::float32},
    {7, DType::float64},
    {8, DType::complex32},
    {9, DType::complex64},
    {10, DType::complex128},
    {11, DType::boolean},
    {15, DType::bfloat16},
    {23, DType::float8_e5m2},
    {24, DType::float8_e4m3fn},
    {25, DType::float8_e5m2fnuz},
    {26, DType::float8_e4m3fnuz},
    {27, DType::uint16},
    {28, DType::uint32},
    {29, DType::uint64},
}};

inline std::optional<DType> dtype_of_scalar_type(int number) {
  for (auto [scalar_type, dtype] : kScalarTypes)
    if (scalar_type == number) return dtype;
  return std::nullopt;
}

inline std::optional<uint8_t> scalar_type_of_dtype(DType dtype) {
  for (auto [scalar_type, known] : kScalarTypes)
    if (known == dtype) return scalar_type;
  return std::nullopt;
}

}  // namespace intaglio::runtime
