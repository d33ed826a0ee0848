#include "data/tokenizer/steps.h"

#include <array>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

constexpr size_t largest_text = size_t{32} << 20;

// Bytes that are printable stand for themselves, the others for the characters from U+0100, in order.
constexpr bool stands_for_itself(unsigned char byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr auto byte_characters = [] {
  std::array<char32_t, 256> characters{};
  char32_t next = 0x100;
  for (size_t byte = 0; byte < characters.size(); ++byte)
    characters[byte] = stands_for_itself(static_cast<unsigned char>(byte)) ? static_cast<char32_t>(byte) : next++;
  return characters;
}();

constexpr auto character_bytes = [] {
  std::array<int, 0x100 + 68> bytes{};
  for (int& byte : bytes) byte = -1;
  for (size_t byte = 0; byte < byte_characters.size(); ++byte) bytes[byte_characters[byte]] = static_cast<int>(byte);
  return bytes;
}();

}  // namespace

bool flag(json::Value section, std::string_view key, bool otherwise) {
  const auto value = section.find(key);
  return value ? value->boolean(key) : otherwise;
}

std::string_view text_or(json::Value section, std::string_view key, std::string_view otherwise) {
  const auto value = section.find(key);
  return value ? value->string(key) : otherwise;
}

Metaspace read_metaspace(json::Value step) {
  Metaspace read{std::string(step.at("replacement").string("replacement")), flag(step, "add_prefix_space", true) ? "always" : "never"};
  size_t end = 0;
  if (!read.mark.empty()) utf8::next(read.mark, end);
  if (read.mark.empty() || end != read.mark.size()) throw_bad_input("the replacement of Metaspace is not one character");
  // Older files say only whether.
  if (const auto named = step.find("prepend_scheme")) read.scheme = named->string("prepend_scheme");
  if (read.scheme != "always" && read.scheme != "never" && read.scheme != "first")
    throw_unsupported(fmt::format("the prepend_scheme '{}' of Metaspace is not known here", escaped(read.scheme)));
  return read;
}

char32_t character_of_byte(unsigned char byte) { return byte_characters[byte]; }

std::optional<unsigned char> byte_of_character(char32_t character) {
  if (character >= character_bytes.size() || character_bytes[character] < 0) return std::nullopt;
  return static_cast<unsigned char>(character_bytes[character]);
}

std::string in_byte_characters(std::string_view text) {
  std::string result;
  result.reserve(2 * text.size());
  for (const char byte : text) utf8::append(result, character_of_byte(static_cast<unsigned char>(byte)));
  return result;
}

Regex read_pattern(json::Value step) {
  const auto [kind, text] = step.at("pattern").only_field("pattern");
  if (kind == "String") return Regex::literal(text.string("pattern"));
  if (kind == "Regex") return Regex(text.string("pattern"));
  throw_unsupported(fmt::format("a pattern of kind '{}'; String and Regex are known here", escaped(kind)));
}

void require_bounded(size_t bytes) {
  if (bytes > largest_text) throw_bad_input("the tokenizer makes the text larger than 32 MB; give it in parts");
}

std::string replaced(const Regex& pattern, std::string_view text, std::string_view with) {
  std::string result;
  size_t done = 0;
  pattern.each_match(text, [&](Span match) {
    result += text.substr(done, match.begin - done);
    result += with;
    done = match.end;
    require_bounded(result.size());
  });
  result += text.substr(done);
  return result;
}

}  // namespace intaglio::data
