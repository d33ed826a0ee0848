// Texts and token ids of a command line.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "report/tokenizer_file.h"

namespace intaglio::cli {

class TextInput {
 public:
  // `tokenizer`, else the one beside `model`. Usage error when there is none and it is `needed`; bad-input error when it has more
  // tokens than the model's vocabulary.
  TextInput(const std::string& tokenizer, const std::string& model, std::optional<int64_t> vocab_size, bool needed);
  std::vector<int64_t> encode(std::string_view text) const;
  const data::Tokenizer* tokenizer() const { return tokenizer_.get(); }  // null when there is none
  std::vector<int64_t> eos_ids() const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<data::Tokenizer> tokenizer_;
};

// `1,15043` or `1 15043` as they stand, or a file of ids.
std::vector<int64_t> token_list(const std::string& text_or_file);
std::string read_text(const std::string& file);

}  // namespace intaglio::cli
