#include "cli/output.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::cli {
namespace {

// Display columns: one for each UTF-8 lead byte.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// U+202A to U+202E and U+2066 to U+2069, at the start of a text; 0 for others.
unsigned direction_mark(std::string_view text) {
  if (!text.starts_with("\xE2\x80") && !text.starts_with("\xE2\x81")) return 0;
  if (text.size() < 3) return 0;
  const unsigned code = 0x2000u | (static_cast<unsigned char>(text[1]) & 0x3Fu) << 6 | (static_cast<unsigned char>(text[2]) & 0x3Fu);
  return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069) ? code : 0;
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
  // DEL, the C1 controls and the marks that reorder a line (`escaped`) are what JSON lets through.
  std::string text = document.dump(2, ' ', false, Json::error_handler_t::replace), printable;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const unsigned char next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0x7F) printable += "\\u007f";
    else if (byte == 0xC2 && next >= 0x80 && next < 0xA0) printable += fmt::format("\\u{:04x}", next), ++i;
    else if (const unsigned mark = direction_mark(std::string_view(text).substr(i))) printable += fmt::format("\\u{:04x}", mark), i += 2;
    else printable += text[i];
  }
  return printable + '\n';
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
