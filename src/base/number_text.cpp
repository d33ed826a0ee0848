#include "base/number_text.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

namespace intaglio {

std::string bytes_text(uint64_t bytes) {
  static constexpr std::array unit_names = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1000; value >= 999.95 && unit + 1 < unit_names.size(); value /= 1000) ++unit;
  return fmt::format("{:.1f} {}", value, unit_names[unit]);
}

std::string decibel_text(double value) { return std::isinf(value) && value > 0 ? "equal" : fmt::format("{:.2f} dB", value); }

}  // namespace intaglio
