#include <intaglio/error.h>

#include <fmt/format.h>

namespace intaglio {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 if there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  size_t length = 0;
  uint32_t code = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead < 0xE0) length = 2, code = lead & 0x1Fu;
  else if (lead >= 0xE0 && lead < 0xF0) length = 3, code = lead & 0x0Fu;
  else if (lead >= 0xF0 && lead < 0xF5) length = 4, code = lead & 0x07u;
  else return 0;
  if (text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code < 0xE000;
  const bool control = code >= 0x80 && code < 0xA0;
  // Bidirectional overrides would let a file reorder what the terminal shows.
  const bool direction = (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
  return overlong || surrogate || control || direction || code > 0x10FFFF ? 0 : length;
}

}  // namespace

Error Error::with_context(std::string_view context) const {
  const std::string place = std::string(context) + ": ";
  const std::string_view message = what();
  const size_t at = message.find(place);
  const bool is_there = at == 0 || (at != std::string_view::npos && message.substr(0, at).ends_with(": "));
  return is_there ? *this : Error(kind_, place + what());
}

std::string escaped(std::string_view text, size_t limit) {
  std::string result;
  while (!text.empty()) {
    if (result.size() >= limit) return result + "...";
    const unsigned char lead = static_cast<unsigned char>(text[0]);
    const bool control = lead < 0x20 || lead == 0x7F;
    const size_t length = control ? 0 : utf8_length(text);
    if (length == 0) {
      result += fmt::format("\\x{:02x}", lead);
      text.remove_prefix(1);
    } else {
      result.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return result;
}

}  // namespace intaglio
