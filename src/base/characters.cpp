#include "base/characters.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

namespace intaglio {

Character first_character(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  size_t length = 0;
  char32_t code = 0;
  if (lead >= 0xC2 && lead < 0xE0) length = 2, code = lead & 0x1Fu;
  else if (lead >= 0xE0 && lead < 0xF0) length = 3, code = lead & 0x0Fu;
  else if (lead >= 0xF0 && lead < 0xF5) length = 4, code = lead & 0x07u;
  else return {};
  if (text.size() < length) return {};
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  return overlong || surrogate || code > 0x10FFFF ? Character{} : Character{code, length};
}

bool is_hidden(char32_t code) {
  static constexpr struct {
    char32_t first, last;
  } ranges[] = {{0x00, 0x1F},         // controls
                {0x7F, 0x9F},         // DEL and more controls
                {0xAD, 0xAD},         // soft hyphen
                {0x61C, 0x61C},       // direction: Arabic letter mark
                {0x180E, 0x180E},     // no width: Mongolian vowel separator
                {0x200B, 0x200B},     // no width: space
                {0x200E, 0x200F},     // direction: marks
                {0x2028, 0x202E},     // ends of lines and paragraphs; direction: embeddings and overrides
                {0x2060, 0x206F},     // no width; direction: isolates
                {0xFEFF, 0xFEFF},     // no width: byte order mark
                {0xFFF9, 0xFFFB},     // annotations
                {0xE0000, 0xE007F}};  // tags
  return std::ranges::any_of(ranges, [code](const auto& range) { return code >= range.first && code <= range.last; });
}

std::string with_hidden_escaped(std::string_view json) {
  std::string result;
  while (!json.empty()) {
    const Character character = first_character(json);
    const size_t length = std::max<size_t>(1, character.length);
    constexpr char32_t first_non_blank = 0x20;  // what stands between values is no part of a string
    if (character.length == 0 || character.code < first_non_blank || !is_hidden(character.code)) result.append(json.substr(0, length));
    else if (character.code < 0x10000) fmt::format_to(std::back_inserter(result), "\\u{:04x}", static_cast<uint32_t>(character.code));
    else {
      const auto beyond = static_cast<uint32_t>(character.code) - 0x10000;
      fmt::format_to(std::back_inserter(result), "\\u{:04x}\\u{:04x}", 0xD800 + (beyond >> 10), 0xDC00 + (beyond & 0x3FF));
    }
    json.remove_prefix(length);
  }
  return result;
}

}  // namespace intaglio
