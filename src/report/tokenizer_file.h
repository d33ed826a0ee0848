// Tokenizers by file.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace intaglio::report {

// A Hugging Face `tokenizer.json` or a SentencePiece `.model`, told by its first byte. Errors name the file.
std::unique_ptr<data::Tokenizer> open_tokenizer(const std::filesystem::path& path);
// tokenizer.json, else tokenizer.model, in the folder of `file`.
std::optional<std::filesystem::path> tokenizer_beside(const std::filesystem::path& file);
// What ends a text: the tokenizer file's own word, else that of `tokenizer_config.json` beside it.
std::vector<int64_t> eos_ids_of(const data::Tokenizer& tokenizer, const std::filesystem::path& path);

}  // namespace intaglio::report
