// Byte-pair encoding: pieces of text to ids, by the merge of lowest rank first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/vocabulary.h"

namespace intaglio::data {

class Bpe {
 public:
  // The section `model`; the vocabulary outlives this. Bad-input error for a vocabulary and merges that do not fit each other.
  Bpe(json::Value model, const Vocabulary& vocabulary);

  // Appends the ids of one piece. A character that the vocabulary cannot spell is left out where the model has no token for it.
  void encode(const std::string& piece, std::vector<int64_t>& ids) const;

 private:
  struct Merge {
    uint32_t rank;
    uint32_t id;
  };
  void read_merges(json::Value merges);
  std::vector<uint32_t> symbols_of(const std::string& piece) const;
  bool spell_in_bytes(std::string_view character, std::vector<uint32_t>& symbols) const;
  void merge(std::vector<uint32_t>& symbols) const;

  const Vocabulary& vocabulary_;
  std::unordered_map<uint64_t, Merge> merges_;  // by the ids of both sides
  std::optional<uint32_t> unknown_;
  std::string prefix_, suffix_;  // of what continues a word, of what ends one
  bool fuses_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignores_merges_ = false;
};

}  // namespace intaglio::data
