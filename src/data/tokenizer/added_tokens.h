// Tokens that are found in a text as they stand, before anything else is done to it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/tokenizer/regex.h"

namespace intaglio::data {

struct AddedToken {
  std::string content;
  int64_t id = 0;
  bool single_word = false;  // not inside of a word
  bool lstrip = false;       // takes the space to its left
  bool rstrip = false;
  bool normalized = false;  // looked for in the normalized text
  bool special = false;     // decodes to nothing
};

// A stretch of text: a token's, or (id -1) what is between them.
struct Stretch {
  Span span;
  int64_t id = -1;
};

class AddedTokens {
 public:
  void add(AddedToken token);
  // The leftmost token first, the longest of those that begin there.
  std::vector<Stretch> split(std::string_view text) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;

  std::unordered_map<std::string_view, size_t> places_;  // by content
  std::vector<std::unique_ptr<AddedToken>> tokens_;
  std::set<size_t, std::greater<>> lengths_;
  bool begins_[256] = {};
};

}  // namespace intaglio::data
