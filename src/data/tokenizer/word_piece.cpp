#include "data/tokenizer/word_piece.h"

#include <intaglio/error.h>

#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {

WordPiece::WordPiece(json::Value model, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary), prefix_(text_or(model, "continuing_subword_prefix", "##")) {
  constexpr int64_t usual = 100, most = 4096;  // each character is looked up once for each that begins before it
  const auto limit = model.find("max_input_chars_per_word");
  most_characters_ = limit ? limit->integer("max_input_chars_per_word") : usual;
  if (most_characters_ < 0 || most_characters_ > most)
    throw_bad_input(fmt::format("max_input_chars_per_word is {}; at most {} are taken", most_characters_, most));
  const auto unknown = vocabulary.unknown_id(model);
  if (!unknown) throw_bad_input("a WordPiece model has no unk_token");
  unknown_ = *unknown;
}

size_t WordPiece::longest_from(const std::string& piece, size_t begin, int64_t& id) const {
  const std::string front = begin == 0 ? "" : prefix_;
  std::string part = front + piece.substr(begin);
  while (part.size() > front.size()) {
    if (const auto known = vocabulary_.id_of(part)) {
      id = *known;
      return begin + part.size() - front.size();
    }
    size_t end = part.size();
    utf8::previous(part, end);
    part.resize(end);
  }
  return begin;
}

void WordPiece::encode(const std::string& piece, std::vector<int64_t>& ids) const {
  const size_t before = ids.size();
  int64_t characters = 0;
  for (size_t at = 0; at < piece.size() && characters <= most_characters_; ++characters) utf8::next(piece, at);
  bool is_known = characters <= most_characters_;
  for (size_t begin = 0; is_known && begin < piece.size();) {
    int64_t id = 0;
    const size_t end = longest_from(piece, begin, id);
    is_known = end > begin;
    if (is_known) ids.push_back(id);
    begin = end;
  }
  if (is_known) return;
  ids.resize(before);
  ids.push_back(unknown_);
}

}  // namespace intaglio::data
