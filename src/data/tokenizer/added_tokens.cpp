#include "data/tokenizer/added_tokens.h"

#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

bool word_ends_at(std::string_view text, size_t at) { return at > 0 && utf8::is_word(utf8::previous(text, at)); }
bool word_begins_at(std::string_view text, size_t at) { return at < text.size() && utf8::is_word(utf8::next(text, at)); }

size_t before_space(std::string_view text, size_t at, size_t least) {
  for (size_t next = at; at > least && utf8::is_space(utf8::previous(text, next));) at = next;
  return at;
}
size_t behind_space(std::string_view text, size_t at) {
  for (size_t next = at; at < text.size() && utf8::is_space(utf8::next(text, next));) at = next;
  return at;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.content.empty() || places_.contains(token.content)) return;
  tokens_.push_back(std::make_unique<AddedToken>(std::move(token)));
  const std::string& content = tokens_.back()->content;
  places_.emplace(content, tokens_.size() - 1);
  lengths_.insert(content.size());
  begins_[static_cast<unsigned char>(content[0])] = true;
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at) const {
  if (!begins_[static_cast<unsigned char>(text[at])]) return nullptr;
  for (const size_t length : lengths_)
    if (length <= text.size() - at)
      if (const auto place = places_.find(text.substr(at, length)); place != places_.end()) return tokens_[place->second].get();
  return nullptr;
}

std::vector<Stretch> AddedTokens::split(std::string_view text) const {
  std::vector<Stretch> stretches;
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word && (word_ends_at(text, begin) || word_begins_at(text, end))) continue;
    if (token->lstrip) begin = std::max(done, before_space(text, begin, done));
    if (token->rstrip) end = behind_space(text, std::max(end, done));
    if (begin >= end) continue;  // blanks that the token before it took
    if (begin > done) stretches.push_back({{done, begin}, -1});
    stretches.push_back({{begin, end}, token->id});
    done = end;
  }
  if (done < text.size()) stretches.push_back({{done, text.size()}, -1});
  return stretches;
}

}  // namespace intaglio::data
