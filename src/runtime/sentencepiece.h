// Tokenizers in SentencePiece's `.model` files, by its own library in a child process (see child/sentencepiece_main.cpp).
#pragma once

#include <filesystem>
#include <memory>

#include "data/tokenizer/tokenizer.h"

namespace intaglio::runtime {

// A model that names a begin of sequence gets it in front of every text. Bad-input error for a damaged file.
std::unique_ptr<data::Tokenizer> open_sentencepiece(const std::filesystem::path& path);

}  // namespace intaglio::runtime
