#include "report/html_text.h"

#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::report {

std::string html(std::string_view text, size_t limit) {
  std::string result;
  for (const char c : escaped(text, limit)) switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += c;
    }
  return result;
}

std::string percent_text(double share) { return fmt::format("{:.2f} %", 100 * share); }

std::string number_cell(const std::optional<double>& value, std::string_view text) {
  if (!value || std::isnan(*value)) return "<td></td>";
  // As JavaScript reads it.
  const std::string key = std::isinf(*value) ? (*value > 0 ? "Infinity" : "-Infinity") : fmt::format("{}", *value);
  return fmt::format("<td data-v=\"{}\">{}</td>", key, html(text));
}

}  // namespace intaglio::report
