#include "data/tokenizer/bpe.h"

#include <queue>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

constexpr uint64_t pair_of(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

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

Bpe::Bpe(json::Value model, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary),
      unknown_(vocabulary.unknown_id(model)),
      prefix_(text_or(model, "continuing_subword_prefix", "")),
      suffix_(text_or(model, "end_of_word_suffix", "")),
      fuses_unknown_(flag(model, "fuse_unk", false)),
      byte_fallback_(flag(model, "byte_fallback", false)),
      ignores_merges_(flag(model, "ignore_merges", false)) {
  read_merges(model.at("merges"));
}

void Bpe::read_merges(json::Value merges) {
  const auto rows = merges.array("merges");
  merges_.reserve(rows.size());
  uint32_t rank = 0;
  for (const json::Value row : rows) {
    if (row.is_string() && row.string("merges").starts_with("#version")) continue;
    const auto [left, right] = sides_of(row, rank);
    const auto known = [&](std::string_view token) {
      const auto id = vocabulary_.id_of(token);
      if (!id) throw_bad_input(fmt::format("merge {} is about the token '{}', which is not in the vocabulary", rank, escaped(token)));
      return *id;
    };
    const std::string_view tail = right.substr(std::min(prefix_.size(), right.size()));
    const uint32_t id = known(std::string(left).append(tail));
    merges_.insert_or_assign(pair_of(known(left), known(right)), Merge{rank, id});
    ++rank;
  }
}

bool Bpe::spell_in_bytes(std::string_view character, std::vector<uint32_t>& symbols) const {
  std::vector<uint32_t> bytes;
  for (const char byte : character) {
    const auto id = vocabulary_.id_of(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
    if (!id) return false;
    bytes.push_back(*id);
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
    if (const auto id = vocabulary_.id_of(character)) {
      end_unknown();
      symbols.push_back(*id);
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
  if (const auto whole = vocabulary_.id_of(piece); ignores_merges_ && whole) {
    ids.push_back(*whole);
    return;
  }
  std::vector<uint32_t> symbols = symbols_of(piece);
  merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

}  // namespace intaglio::data
