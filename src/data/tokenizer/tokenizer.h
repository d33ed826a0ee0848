// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace intaglio::data {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // With the ids that the tokenizer itself puts around a text (begin of sequence). Bad-input error for a text that is not UTF-8.
  // What the vocabulary cannot spell becomes its unknown token, or is left out where it has none.
  virtual std::vector<int64_t> encode(std::string_view text) const = 0;
  // Special tokens are left out; bytes that are no UTF-8 become U+FFFD.
  virtual std::string decode(std::span<const int64_t> ids) const = 0;
  virtual std::optional<int64_t> id_of(std::string_view token) const = 0;
  // One more than the largest id.
  virtual int64_t vocab_size() const = 0;
  // The end of sequence, where the file itself names it.
  virtual std::optional<int64_t> eos_id() const { return std::nullopt; }
};

// Bad-input error that says where the text is not UTF-8.
void require_utf8(std::string_view text);

// The contents of a Hugging Face `tokenizer.json` with a BPE or WordPiece model: what the `tokenizers` package makes of it, with neither
// truncation nor padding. Bad-input error for a damaged file, unsupported error for a part that is not known here.
std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text);

}  // namespace intaglio::data
