// The parts of a `tokenizer.json` that work on text, as functions: normalizers, pre-tokenizers, decoders.
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/regex.h"
#include "ir/json.h"

namespace intaglio::data {

// Text that is cut into tokens by itself.
struct Piece {
  std::string text;
  bool at_start = false;  // of the whole text
};

using Normalizer = std::function<std::string(std::string)>;
using PreTokenizer = std::function<std::vector<Piece>(std::vector<Piece>)>;
using Decoder = std::function<std::vector<std::string>(std::vector<std::string>)>;

// Each takes the object of its section. Unsupported error for a type that is not in its table.
Normalizer make_normalizer(json::Value section);
PreTokenizer make_pre_tokenizer(json::Value section);
Decoder make_decoder(json::Value section);

constexpr int64_t largest_token_id = (int64_t{1} << 31) - 2;

// What stands under `key`, if anything does.
bool flag(json::Value section, std::string_view key, bool otherwise);
std::string_view text_or(json::Value section, std::string_view key, std::string_view otherwise);

// The character that stands for a blank, and before which texts one is put: "always", "first" or "never".
struct Metaspace {
  std::string mark, scheme;
};
// Bad-input error for a mark that is not one character, unsupported error for another scheme.
Metaspace read_metaspace(json::Value step);

// A pattern of the file: {"String": text} or {"Regex": expression}.
Regex read_pattern(json::Value step);
// Bad-input error for a text that steps of a hostile file make grow beyond all bounds.
void require_bounded(size_t bytes);
// Matches replaced by `with`, within those bounds.
std::string replaced(const Regex& pattern, std::string_view text, std::string_view with);

// The printable character that stands for a byte in a byte-level vocabulary, and back.
char32_t character_of_byte(unsigned char byte);
std::optional<unsigned char> byte_of_character(char32_t character);
std::string in_byte_characters(std::string_view text);

// One row of a table of types.
template <typename Step>
struct StepType {
  std::string_view type;
  Step (*make)(json::Value step);
};

// A list of steps under `key`, made by `make`. Sequences nest; no real one is long.
template <typename Step>
std::vector<Step> make_sequence(json::Value section, std::string_view key, Step (*make)(json::Value));
template <typename Step, size_t count>
Step make_step(const std::array<StepType<Step>, count>& types, json::Value section, std::string_view what);

}  // namespace intaglio::data

#include "data/tokenizer/steps_inl.h"
