#include <intaglio/dtype.h>

#include <array>
#include <bit>

#include <intaglio/error.h>

namespace intaglio {
namespace {

enum class Family : uint8_t { boolean, integral, floating, complex };

struct Row {
  DType dtype;
  std::string_view name;
  uint8_t bytes;
  Family family;
  bool is_signed;
};

constexpr std::array<Row, 21> table{{
    {DType::uint8, "uint8", 1, Family::integral, false},
    {DType::int8, "int8", 1, Family::integral, true},
    {DType::int16, "int16", 2, Family::integral, true},
    {DType::int32, "int32", 4, Family::integral, true},
    {DType::int64, "int64", 8, Family::integral, true},
    {DType::uint16, "uint16", 2, Family::integral, false},
    {DType::uint32, "uint32", 4, Family::integral, false},
    {DType::uint64, "uint64", 8, Family::integral, false},
    {DType::float16, "float16", 2, Family::floating, true},
    {DType::bfloat16, "bfloat16", 2, Family::floating, true},
    {DType::float32, "float32", 4, Family::floating, true},
    {DType::float64, "float64", 8, Family::floating, true},
    {DType::complex32, "complex32", 4, Family::complex, true},
    {DType::complex64, "complex64", 8, Family::complex, true},
    {DType::complex128, "complex128", 16, Family::complex, true},
    {DType::boolean, "bool", 1, Family::boolean, false},
    {DType::float8_e4m3fn, "float8_e4m3fn", 1, Family::floating, true},
    {DType::float8_e5m2, "float8_e5m2", 1, Family::floating, true},
    {DType::float8_e4m3fnuz, "float8_e4m3fnuz", 1, Family::floating, true},
    {DType::float8_e5m2fnuz, "float8_e5m2fnuz", 1, Family::floating, true},
    {DType::float8_e8m0fnu, "float8_e8m0fnu", 1, Family::floating, false},
}};

const Row& row(DType dtype) { return table[static_cast<size_t>(dtype)]; }

DType promote_integers(DType a, DType b) {
  const Row& x = row(a);
  const Row& y = row(b);
  if (x.is_signed == y.is_signed) return x.bytes >= y.bytes ? a : b;
  const Row& with_sign = x.is_signed ? x : y;
  const Row& without = x.is_signed ? y : x;
  if (with_sign.bytes > without.bytes) return with_sign.dtype;
  switch (without.bytes) {  // the next wider signed type holds both
    case 1: return DType::int16;
    case 2: return DType::int32;
    case 4: return DType::int64;
    default: throw_unsupported("no type holds both uint64 and a signed integer (PyTorch refuses this promotion too)");
  }
}

DType complex_of(DType floating) {
  switch (floating) {
    case DType::float16: return DType::complex32;
    case DType::float64: return DType::complex128;
    default: return DType::complex64;
  }
}

}  // namespace

size_t item_size(DType dtype) { return row(dtype).bytes; }
std::string_view name(DType dtype) { return row(dtype).name; }
std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& entry : table)
    if (entry.name == name) return entry.dtype;
  return std::nullopt;
}
bool is_floating(DType dtype) { return row(dtype).family == Family::floating; }
bool is_complex(DType dtype) { return row(dtype).family == Family::complex; }
bool is_integral(DType dtype) { return row(dtype).family == Family::integral; }
bool is_signed(DType dtype) { return row(dtype).is_signed; }

DType promote(DType a, DType b) {
  if (a == b) return a;
  const Row& x = row(a);
  const Row& y = row(b);
  if (x.family != y.family) {
    const Row& high = x.family > y.family ? x : y;
    const Row& low = x.family > y.family ? y : x;
    if (high.family != Family::complex || low.family != Family::floating) return high.dtype;
    const DType as_complex = complex_of(low.dtype);
    return item_size(as_complex) > high.bytes ? as_complex : high.dtype;
  }
  if (x.family == Family::integral) return promote_integers(a, b);
  if (x.family == Family::floating && x.bytes == 1 && y.bytes == 1) throw_unsupported("float8 types do not promote with each other");
  // float16 with bfloat16 meets in float32.
  if (x.bytes == y.bytes && x.family == Family::floating) return DType::float32;
  return x.bytes > y.bytes ? a : b;
}

float half_to_float(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1Fu;
  uint32_t mantissa = bits & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | mantissa << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
  // Subnormal: mantissa * 2^-24 is exact in float32.
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);
  if (magnitude >= 0x477FF000u) return static_cast<uint16_t>(sign | 0x7C00u);  // rounds to at least 65520
  if (magnitude < 0x38800000u) {                                               // subnormal half: let float addition do the rounding
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3F000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

float bfloat16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  const uint32_t odd = bits >> 16 & 1u;
  return static_cast<uint16_t>((bits + 0x7FFFu + odd) >> 16);
}

}  // namespace intaglio
