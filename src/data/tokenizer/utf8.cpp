#include "data/tokenizer/utf8.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <utility>

namespace intaglio::data::utf8 {
namespace {

constexpr char32_t replacement = 0xFFFD;

// ICU's macros want signed 32-bit positions; a character never needs more than these bytes.
constexpr size_t longest = 4;

UChar32 decode(std::string_view text, size_t& at) {
  const char* bytes = text.data() + at;
  const auto length = static_cast<int32_t>(std::min(text.size() - at, longest));
  int32_t used = 0;
  UChar32 character;
  U8_NEXT(bytes, used, length, character);
  at += static_cast<size_t>(used);
  return character;
}

// The `tokenizers` package asks tables of older versions of Unicode than ICU has: those characters that got another category since.
struct Change {
  char32_t character;
  int since;  // version of Unicode
  UCharCategory was;
};
constexpr Change changes[] = {
    {0x166D, 12, U_OTHER_PUNCTUATION},
    {0x1734, 14, U_NON_SPACING_MARK},
    {0x1885, 9, U_OTHER_LETTER},
    {0x1886, 9, U_OTHER_LETTER},
    {0x1CF2, 12, U_COMBINING_SPACING_MARK},
    {0x1CF3, 12, U_COMBINING_SPACING_MARK},
    {0xA9BD, 11, U_COMBINING_SPACING_MARK},
    {0x111C9, 11, U_OTHER_PUNCTUATION},
};

// Whether the character's category in that version of Unicode was one of these.
bool was_in(int version, char32_t character, uint32_t categories) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(character), age);
  if (age[0] > version) return false;
  const auto change = std::ranges::find_if(changes, [&](const Change& c) { return c.character == character && version < c.since; });
  const auto category = change == std::end(changes) ? u_charType(static_cast<UChar32>(character)) : static_cast<int8_t>(change->was);
  return (U_MASK(category) & categories) != 0;
}

}  // namespace

char32_t next(std::string_view text, size_t& at) {
  const UChar32 character = decode(text, at);
  return character < 0 ? replacement : static_cast<char32_t>(character);
}

char32_t previous(std::string_view text, size_t& at) {
  const size_t start = at > longest ? at - longest : 0;
  const char* bytes = text.data() + start;
  auto position = static_cast<int32_t>(at - start);
  UChar32 character;
  U8_PREV(bytes, 0, position, character);
  at = start + static_cast<size_t>(position);
  return character < 0 ? replacement : static_cast<char32_t>(character);
}

void append(std::string& text, char32_t character) {
  char bytes[longest];
  int32_t used = 0;
  U8_APPEND_UNSAFE(bytes, used, character);
  text.append(bytes, static_cast<size_t>(used));
}

std::optional<size_t> first_fault(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const size_t start = at;
    if (decode(text, at) < 0) return start;
  }
  return std::nullopt;
}

std::string replaced_faults(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) append(result, next(text, at));
  return result;
}

bool is_space(char32_t character) { return u_isUWhiteSpace(static_cast<UChar32>(character)) != 0; }
bool is_number(char32_t character) { return (U_MASK(u_charType(static_cast<UChar32>(character))) & U_GC_N_MASK) != 0; }
bool is_mark(char32_t character) { return was_in(9, character, U_GC_M_MASK); }
bool is_nonspacing(char32_t character) { return was_in(8, character, U_GC_MN_MASK); }
bool is_control(char32_t character) { return was_in(8, character, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK); }

bool is_ideograph(char32_t character) {
  constexpr std::pair<char32_t, char32_t> blocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
                                                      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(blocks, [&](const auto& block) { return character >= block.first && character <= block.second; });
}

bool is_punctuation(char32_t character) {
  constexpr uint32_t symbols_of_ascii = U_GC_S_MASK;
  return was_in(8, character, character < 0x80 ? U_GC_P_MASK | symbols_of_ascii : U_GC_P_MASK);
}

bool is_word(char32_t character) {
  const auto code = static_cast<UChar32>(character);
  return u_isUAlphabetic(code) != 0 || (U_MASK(u_charType(code)) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
         u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL) != 0;
}

}  // namespace intaglio::data::utf8
