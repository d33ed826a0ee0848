// WordPiece: pieces of text to ids, by the longest token first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer/vocabulary.h"

namespace intaglio::data {

class WordPiece {
 public:
  // The section `model`; the vocabulary outlives this. Bad-input error for one without the unknown token.
  WordPiece(json::Value model, const Vocabulary& vocabulary);

  // Appends the ids of one piece: the unknown token's alone where a part of it has no token.
  void encode(const std::string& piece, std::vector<int64_t>& ids) const;

 private:
  // Where the longest token ends that begins at `begin`, and its id; `begin` where there is none.
  size_t longest_from(const std::string& piece, size_t begin, int64_t& id) const;

  const Vocabulary& vocabulary_;
  std::string prefix_;  // of what continues a word
  int64_t most_characters_;
  int64_t unknown_ = 0;
};

}  // namespace intaglio::data
