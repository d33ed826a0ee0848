// UTF-8, one character at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace intaglio::data::utf8 {

// The character at `at`, which moves past it; U+FFFD and past the bytes that cannot begin one where there is none.
char32_t next(std::string_view text, size_t& at);
// The same backwards: `at` moves to the start of the character that ends there.
char32_t previous(std::string_view text, size_t& at);
void append(std::string& text, char32_t character);
// Where the first byte stands that is no UTF-8.
std::optional<size_t> first_fault(std::string_view text);
// Every maximal part of a character that is cut short becomes U+FFFD.
std::string replaced_faults(std::string_view text);

// Properties of Unicode.
bool is_space(char32_t character);      // White_Space
bool is_number(char32_t character);     // general categories N*
bool is_ideograph(char32_t character);  // of the blocks that get blanks around them
bool is_word(char32_t character);       // what regular expressions call a word character
// By the tables that the `tokenizers` package has for them.
bool is_mark(char32_t character);         // M* of Unicode 9
bool is_punctuation(char32_t character);  // P* of Unicode 8, and ASCII's symbols
bool is_nonspacing(char32_t character);   // Mn of Unicode 8
bool is_control(char32_t character);      // Cc, Cf, Co of Unicode 8

}  // namespace intaglio::data::utf8
