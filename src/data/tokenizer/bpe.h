// Byte-pair encoding: pieces of text to ids, by the merge of lowest rank first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/json.h"

namespace intaglio::data {

class Bpe {
 public:
  // The section `model`. Bad-input error for a vocabulary and merges that do not fit each other.
  explicit Bpe(json::Value model);

  // Appends the ids of one piece. A character that the vocabulary cannot spell is left out where the model has no token for it.
  void encode(const std::string& piece, std::vector<int64_t>& ids) const;

  std::optional<int64_t> id_of(std::string_view token) const;
  const std::string* token_of(int64_t id) const;
  int64_t vocab_size() const { return vocab_size_; }

 private:
  struct Merge {
    uint32_t rank;
    uint32_t id;
  };
  void read_vocab(json::Value vocab);
  void read_merges(json::Value merges);
  std::vector<uint32_t> symbols_of(const std::string& piece) const;
  bool spell_in_bytes(std::string_view character, std::vector<uint32_t>& symbols) const;
  void merge(std::vector<uint32_t>& symbols) const;

  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> ids_;
  std::unordered_map<uint32_t, const std::string*> tokens_;
  std::unordered_map<uint64_t, Merge> merges_;  // by the ids of both sides
  int64_t vocab_size_ = 0;
  std::optional<uint32_t> unknown_;
  std::string prefix_, suffix_;  // of what continues a word, of what ends one
  bool fuses_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignores_merges_ = false;
};

}  // namespace intaglio::data
