#include "cli/output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/characters.h"

namespace intaglio::cli {
namespace {

// Display columns: one for each UTF-8 lead byte.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// What failed is known of a stream when the command ends.
void write(std::FILE* stream, const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  if (stream == stderr) std::fflush(stream);
}

}  // namespace

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json document(const char* schema) { return Json{{"schema", schema}}; }

std::string to_text(const Json& document) {
  // Strings from files may hold bytes that are not UTF-8: they are replaced, the document stays valid.
  return with_hidden_escaped(document.dump(2, ' ', false, Json::error_handler_t::replace)) + '\n';
}

void print(const Json& document) { write(stdout, to_text(document)); }

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t line = text.find('\n');
    result += escaped(text.substr(0, line), std::string::npos);
    if (line == std::string_view::npos) break;
    result += '\n';
    text.remove_prefix(line + 1);
  }
  return result;
}

void say(std::FILE* stream, std::string_view text) { write(stream, printable(text)); }

void Report::print() const {
  write(stderr, warnings);
  write(stdout, text);
}

std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width(row[i]), ' ');
      const bool to_right = std::find(right.begin(), right.end(), i) != right.end();
      if (i > 0) line += "  ";
      line += to_right ? padding + row[i] : row[i] + padding;
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace intaglio::cli
