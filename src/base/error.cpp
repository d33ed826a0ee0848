#include <intaglio/error.h>

#include <fmt/format.h>

#include "base/characters.h"

namespace intaglio {

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
    const Character character = first_character(text);
    const size_t length = is_hidden(character.code) ? 0 : character.length;
    if (length == 0) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
    } else {
      result.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return result;
}

}  // namespace intaglio
