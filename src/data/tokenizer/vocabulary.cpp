#include "data/tokenizer/vocabulary.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/steps.h"

namespace intaglio::data {

Vocabulary::Vocabulary(json::Value model) {
  const auto tokens = model.at("vocab").object("vocab");
  ids_.reserve(tokens.size());
  tokens_.reserve(tokens.size());
  for (const auto& [token, value] : tokens) {
    const int64_t id = json::Value(value).integer("vocab");
    if (id < 0 || id > largest_token_id) throw_bad_input(fmt::format("the token '{}' has the id {}", escaped(token), id));
    const auto entry = ids_.emplace(token, static_cast<uint32_t>(id)).first;
    if (const auto [other, fresh] = tokens_.emplace(entry->second, &entry->first); !fresh)
      throw_bad_input(fmt::format("the tokens '{}' and '{}' have the same id {}", escaped(*other->second), escaped(token), id));
    size_ = std::max(size_, id + 1);
  }
}

std::optional<uint32_t> Vocabulary::id_of(std::string_view token) const {
  const auto entry = ids_.find(token);
  if (entry == ids_.end()) return std::nullopt;
  return entry->second;
}

const std::string* Vocabulary::token_of(int64_t id) const {
  if (id < 0 || id > largest_token_id) return nullptr;
  const auto entry = tokens_.find(static_cast<uint32_t>(id));
  return entry == tokens_.end() ? nullptr : entry->second;
}

std::optional<uint32_t> Vocabulary::unknown_id(json::Value model) const {
  const std::string_view token = text_or(model, "unk_token", "");
  if (token.empty()) return std::nullopt;
  const auto id = id_of(token);
  if (!id) throw_bad_input(fmt::format("the unk_token '{}' is not in the vocabulary", escaped(token)));
  return id;
}

}  // namespace intaglio::data
