// The tokens of a model and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ir/json.h"

namespace intaglio::data {

class Vocabulary {
 public:
  // The object `vocab` of the section `model`. Bad-input error for ids that are none, or two tokens of one id.
  explicit Vocabulary(json::Value model);
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  std::optional<uint32_t> id_of(std::string_view token) const;
  const std::string* token_of(int64_t id) const;
  // Of the token that stands for what has none: the field `unk_token`, absent where it is empty or not there. Bad-input error for one
  // that is no token.
  std::optional<uint32_t> unknown_id(json::Value model) const;
  // One more than the largest id.
  int64_t size() const { return size_; }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> ids_;
  std::unordered_map<uint32_t, const std::string*> tokens_;
  int64_t size_ = 0;
};

}  // namespace intaglio::data
