// Element types of tensors, as PyTorch names them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#pragma GCC visibility push(default)

namespace intaglio {

// The numbers are our own; the archive's and ExecuTorch's numberings are converted at the boundary
// (`src/pt2`, `src/edge`).
enum class DType : uint8_t {
  uint8,
  int8,
  int16,
  int32,
  int64,
  uint16,
  uint32,
  uint64,
  float16,
  bfloat16,
  float32,
  float64,
  complex32,
  complex64,
  complex128,
  boolean,
  float8_e4m3fn,
  float8_e5m2,
  float8_e4m3fnuz,
  float8_e5m2fnuz,
  float8_e8m0fnu,
};

// Bytes of one element.
size_t item_size(DType dtype);

// PyTorch's short name: "float32", "int8", "bool", ...
std::string_view name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

bool is_floating(DType dtype);  // real floating point, any width
bool is_complex(DType dtype);
bool is_integral(DType dtype);  // signed or unsigned; bool is not integral here
bool is_signed(DType dtype);

// The type PyTorch computes `a op b` in when both are tensors of rank > 0 (torch.promote_types).
DType promote(DType a, DType b);

// IEEE half and bfloat16 conversions, round to nearest even.
float half_to_float(uint16_t bits);
uint16_t float_to_half(float value);
float bfloat16_to_float(uint16_t bits);
uint16_t float_to_bfloat16(float value);

}  // namespace intaglio

#pragma GCC visibility pop
