#include "data/tokenizer/bpe.h"

#include <queue>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

constexpr int64_t largest_id = (int64_t{1} << 31) - 2;

constexpr uint64_t pair_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

std::string text_or_empty(json::Value model, std::string_view key) {
  const auto value = model.find(key);
  return value ? std::string(value->string(key)) : std::string();
}
// The two sides of a merge, written as a list of two or as one text with a blank.
std::pair<std::string_view, std::string_view> sides_of(json::Value merge, size_t rank) {
  if (merge.is_array()) {
    std::vector<std::string_view> sides;
    for (const json::Value side : merge.array("merges")) sides.push_back(side.string("merges"));
    if (sides.size() == 2) return {sides[0], sides[1]};
  } else {
    const std::string_view text = merge.string("merges");
    const size_t blank = text.find(' ');
    if (blank != std::string_view::npos && text.find(' ', blank + 1) == std::string_view::npos)
      return {text.substr(0, blank), text.substr(blank + 1)};
  }
  throw_bad_input(fmt::format("merge {} is not of two tokens", rank));
}

}  // namespace

Bpe::Bpe(json::Value model) {
  prefix_ = text_or_empty(model, "continuing_subword_prefix");
  suffix_ = text_or_empty(model, "end_of_word_suffix");
  fuses_unknown_ = flag(model, "fuse_unk", false);
  byte_fallback_ = flag(model, "byte_fallback", false);
  ignores_merges_ = flag(model, "ignore_merges", false);
  read_vocab(model.at("vocab"));
  read_merges(model.at("merges"));
  if (const std::string unknown = text_or_empty(model, "unk_token"); !unknown.empty()) {
    const auto id = ids_.find(unknown);
    if (id == ids_.end()) throw_bad_input(fmt::format("the unk_token '{}' is not in the vocabulary", escaped(unknown)));
    unknown_ = id->second;
  }
}

void Bpe::read_vocab(json::Value vocab) {
  const auto tokens = vocab.object("vocab");
  ids_.reserve(tokens.size());
  tokens_.reserve(tokens.size());
  for (const auto& [token, value] : tokens) {
    const int64_t id = json::Value(value).integer("vocab");
    if (id < 0 || id > largest_id) throw_bad_input(fmt::format("the token '{}' has the id {}", escaped(token), id));
    const auto entry = ids_.emplace(token, static_cast<uint32_t>(id)).first;
    if (const auto [other, fresh] = tokens_.emplace(entry->second, &entry->first); !fresh)
      throw_bad_input(fmt::format("the tokens '{}' and '{}' have the same id {}", escaped(*other->second), escaped(token), id));
    vocab_size_ = std::max(vocab_size_, id + 1);
  }
}

void Bpe::read_merges(json::Value merges) {
  const auto rows = merges.array("merges");
  merges_.reserve(rows.size());
  uint32_t rank = 0;
  for (const json::Value row : rows) {
    if (row.is_string() && row.string("merges").starts_with("#version")) continue;
    const auto [left, right] = sides_of(row, rank);
    const auto known = [&](std::string_view token) {
      const auto entry = ids_.find(token);
      if (entry == ids_.end())
        throw_bad_input(fmt::format("merge {} is about the token '{}', which is not in the vocabulary", rank, escaped(token)));
      return entry->second;
    };
    const std::string_view tail = right.substr(std::min(prefix_.size(), right.size()));
    const uint32_t id = known(std::string(left).append(tail));
    merges_.insert_or_assign(pair_of(known(left), known(right)), Merge{rank, id});
    ++rank;
  }
}

std::optional<int64_t> Bpe::id_of(std::string_view token) const {
  const auto entry = ids_.find(token);
  if (entry == ids_.end()) return std::nullopt;
  return entry->second;
}

const std::string* Bpe::token_of(int64_t id) const {
  if (id < 0 || id > largest_id) return nullptr;
  const auto entry = tokens_.find(static_cast<uint32_t>(id));
  return entry == tokens_.end() ? nullptr : entry->second;
}

bool Bpe::spell_in_bytes(std::string_view character, std::vector<uint32_t>& symbols) const {
  std::vector<uint32_t> bytes;
  for (const char byte : character) {
    const auto entry = ids_.find(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
    if (entry == ids_.end()) return false;
    bytes.push_back(entry->second);
  }
  symbols.insert(symbols.end(), bytes.begin(), bytes.end());
  return true;
}

std::vector<uint32_t> Bpe::symbols_of(const std::string& piece) const {
  std::vector<uint32_t> symbols;
  bool pending = false;  // an unknown character that further ones may join
  const auto end_unknown = [&] {
    if (pending) symbols.push_back(*unknown_);
    pending = false;
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    utf8::next(piece, at);
    std::string character = piece.substr(begin, at - begin);
    if (begin > 0) character.insert(0, prefix_);
    if (at == piece.size()) character += suffix_;
    if (const auto entry = ids_.find(character); entry != ids_.end()) {
      end_unknown();
      symbols.push_back(entry->second);
      continue;
    }
    if (byte_fallback_ && spell_in_bytes(character, symbols)) continue;
    if (!unknown_) continue;  // as the `tokenizers` package does: it is left out
    if (!fuses_unknown_) end_unknown();
    pending = true;
  }
  end_unknown();
  return symbols;
}

// Merges in order of rank, the leftmost first, over a list whose neighbours close up.
void Bpe::merge(std::vector<uint32_t>& symbols) const {
  struct Symbol {
    uint32_t id;
    size_t previous, next;
    bool gone;
  };
  struct Candidate {
    uint32_t rank;
    size_t at;
    uint32_t left, right, id;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : at > other.at; }
  };
  const size_t end = symbols.size();
  std::vector<Symbol> list;
  for (size_t i = 0; i < end; ++i) list.push_back({symbols[i], i == 0 ? end : i - 1, i + 1, false});
  std::priority_queue<Candidate> queue;
  const auto consider = [&](size_t left) {
    if (left >= end || list[left].next >= end) return;
    const uint32_t first = list[left].id, second = list[list[left].next].id;
    if (const auto merge = merges_.find(pair_of(first, second)); merge != merges_.end())
      queue.push({merge->second.rank, left, first, second, merge->second.id});
  };
  for (size_t i = 0; i + 1 < end; ++i) consider(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = list[best.at];
    if (left.gone || left.id != best.left || left.next >= end || list[left.next].id != best.right) continue;
    Symbol& right = list[left.next];
    left.id = best.id;
    right.gone = true;
    left.next = right.next;
    if (right.next < end) list[right.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  symbols.clear();
  for (const Symbol& symbol : list)
    if (!symbol.gone) symbols.push_back(symbol.id);
}

void Bpe::encode(const std::string& piece, std::vector<int64_t>& ids) const {
  if (const auto whole = ids_.find(piece); ignores_merges_ && whole != ids_.end()) {
    ids.push_back(whole->second);
    return;
  }
  std::vector<uint32_t> symbols = symbols_of(piece);
  merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

}  // namespace intaglio::data
