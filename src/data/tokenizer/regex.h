// Regular expressions as `tokenizer.json` has them: Oniguruma's syntax and meaning, on PCRE2.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace intaglio::data {

struct Span {
  size_t begin = 0;
  size_t end = 0;
};

class Regex {
 public:
  // Unsupported error naming what PCRE2 has not or means otherwise.
  explicit Regex(std::string_view pattern);
  static Regex literal(std::string_view text);

  // Matches from left to right, none empty behind another. Bad-input error when one takes too many steps.
  std::vector<Span> find_all(std::string_view text) const;
  void each_match(std::string_view text, const std::function<void(Span)>& take) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  std::shared_ptr<const Code> code_;
};

// The pattern in PCRE2's words, with the same meaning.
std::string translated_pattern(std::string_view pattern);

}  // namespace intaglio::data
