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

bool is_of_unicode_8(char32_t character, uint32_t categories) {
  UVersionInfo age;
  u_charAge(static_cast<UChar32>(character), age);
  return age[0] <= 8 && (U_MASK(u_charType(static_cast<UChar32>(character))) & categories) != 0;
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
bool is_mark(char32_t character) { return (U_MASK(u_charType(static_cast<UChar32>(character))) & U_GC_M_MASK) != 0; }

bool is_nonspacing(char32_t character) {
  constexpr char32_t was_one = 0x1734, became_ones[] = {0x1885, 0x1886, 0xA9BD, 0x111C9};  // since
  if (character == was_one || std::ranges::find(became_ones, character) != std::end(became_ones)) return character == was_one;
  return is_of_unicode_8(character, U_GC_MN_MASK);
}
bool is_control(char32_t character) { return is_of_unicode_8(character, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK); }

bool is_ideograph(char32_t character) {
  constexpr std::pair<char32_t, char32_t> blocks[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
                                                      {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(blocks, [&](const auto& block) { return character >= block.first && character <= block.second; });
}

bool is_punctuation(char32_t character) {
  const auto code = static_cast<UChar32>(character);
  constexpr char32_t was_punctuation = 0x111C9;  // became a mark since Unicode 8
  return u_ispunct(code) != 0 || character == was_punctuation || (character < 0x80 && (U_MASK(u_charType(code)) & U_GC_S_MASK) != 0);
}

bool is_word(char32_t character) {
  const auto code = static_cast<UChar32>(character);
  return u_isUAlphabetic(code) != 0 || (U_MASK(u_charType(code)) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0 ||
         u_hasBinaryProperty(code, UCHAR_JOIN_CONTROL) != 0;
}

}  // namespace intaglio::data::utf8
