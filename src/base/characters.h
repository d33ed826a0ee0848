// Characters of UTF-8 text, and which of them must not reach a reader as they are.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace intaglio {

struct Character {
  char32_t code = 0;
  size_t length = 0;  // in bytes; 0: no well-formed sequence
};

// The first one of a text that is not empty.
Character first_character(std::string_view text);

// What is shown as something else than itself: controls, ends of lines, marks that reorder a line, and what takes no place in it. Joiners
// of letters (U+200C, U+200D) are part of how words are written.
bool is_hidden(char32_t code);

// JSON text whose strings hold such characters as they are, with `\u` escapes in their place.
std::string with_hidden_escaped(std::string_view json);

}  // namespace intaglio
