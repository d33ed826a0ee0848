// What an integer element type of at most 32 bits holds.
#pragma once

#include <cstdint>
#include <optional>

#include <intaglio/dtype.h>

namespace intaglio {

struct IntegerRange {
  int64_t min = 0, max = 0;

  bool holds(int64_t value) const { return value >= min && value <= max; }
};

// Of the types that values are quantized to, and nullopt for all others.
inline std::optional<IntegerRange> integer_range(DType dtype) {
  const size_t bits = 8 * item_size(dtype);
  if (!is_integral(dtype) || bits > 32 || dtype == DType::uint32) return std::nullopt;
  const int64_t half = int64_t{1} << (bits - 1);
  return is_signed(dtype) ? IntegerRange{-half, half - 1} : IntegerRange{0, 2 * half - 1};
}

}  // namespace intaglio
