// What differs between Oniguruma and PCRE2, of all that patterns of tokenizers use: the characters behind \s, \w, \h and \v, \u,
// names of scripts, {,n} and {n,m}+. What else differs is refused.
#include <algorithm>
#include <array>
#include <new>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <intaglio/error.h>
#include <pcre2.h>

#include "data/tokenizer/regex.h"

namespace intaglio::data {
namespace {

struct ClassEscape {
  char letter;
  bool negated;
  std::string_view members;     // as they stand in a class
  std::string_view alone = {};  // outside of classes these too
};
// PCRE2 counts U+180E to the spaces, and no marks to the words.
constexpr std::string_view space_members = "\\x09-\\x0d\\x{85}\\p{Z}";
constexpr std::string_view word_members = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
// A byte's worth of characters has a table of its own, which classes do not ask: superscript digits and fractions are words there.
constexpr std::string_view words_alone = "\\xb2\\xb3\\xb9\\xbc-\\xbe";
constexpr std::string_view hexadecimal_members = "0-9A-Fa-f";
constexpr ClassEscape class_escapes[] = {
    {'s', false, space_members},
    {'S', true, space_members},
    {'w', false, word_members, words_alone},
    {'W', true, word_members, words_alone},
    {'h', false, hexadecimal_members},
    {'H', true, hexadecimal_members},
};
constexpr std::string_view same_escapes = "dDAzZnrtfea";

// Scripts by their name alone mean Script_Extensions to PCRE2.
bool is_script(std::string_view name) {
  const std::string pattern = fmt::format("\\p{{sc:{}}}", name);
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error, &place, nullptr);
  if (error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
  pcre2_code_free(code);
  return code != nullptr;
}

class Translation {
 public:
  explicit Translation(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      switch (pattern_[at_]) {
        case '\\': atom(&Translation::escape_outside); break;
        case '[': atom(&Translation::character_class); break;
        case '(': open_group(); break;
        case ')': close_group(); break;
        case '{': interval(); break;
        case '*':
        case '+':
        case '?':
        case '|':
        case '^':
        case '$': copy(1); break;
        default: atom(&Translation::character); break;
      }
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw_unsupported(fmt::format("the regular expression '{}' has {} at byte {}, which is not known here", escaped(pattern_), what, at_));
  }
  bool starts_with(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void copy(size_t count) {
    result_ += pattern_.substr(at_, count);
    at_ += count;
  }
  // What a quantifier behind it is about begins here.
  void atom(void (Translation::*translate)()) {
    atom_ = result_.size();
    (this->*translate)();
  }
  void character() {
    do copy(1);
    while (at_ < pattern_.size() && (static_cast<unsigned char>(pattern_[at_]) & 0xC0) == 0x80);
  }

  void open_group() {
    static constexpr std::array known = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:", "(?i)"};
    groups_.push_back(result_.size());
    if (starts_with("(*")) refuse("'(*'");
    if (!starts_with("(?")) return copy(1);
    for (const std::string_view start : known) {
      if (!starts_with(start)) continue;
      if (start.back() == ')') groups_.pop_back();
      return copy(start.size());
    }
    refuse("a group of another kind");
  }
  void close_group() {
    if (groups_.empty()) refuse("')' without '('");
    atom_ = groups_.back();
    groups_.pop_back();
    copy(1);
  }

  void interval() {
    const size_t close = pattern_.find('}', at_);
    const std::string_view inside = close == std::string_view::npos ? "" : pattern_.substr(at_ + 1, close - at_ - 1);
    const bool counts = !inside.empty() && inside != "," && inside.find_first_not_of("0123456789,") == std::string_view::npos &&
                        std::count(inside.begin(), inside.end(), ',') <= 1;
    if (!counts) return atom(&Translation::brace);
    result_ += inside.starts_with(',') ? fmt::format("{{0{}}}", inside) : fmt::format("{{{}}}", inside);
    at_ = close + 1;
    // It is repeated, not possessive.
    if (!starts_with("+") || atom_ == std::string::npos) return;
    result_.insert(atom_, "(?:");
    result_ += ')';
  }
  void brace() {
    result_ += '\\';
    copy(1);
  }

  void character_class() {
    const size_t start = at_;
    copy(1);
    if (starts_with("^")) copy(1);
    if (starts_with("]")) {
      result_ += '\\';
      copy(1);
    }
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (starts_with("&&")) refuse("an intersection of classes");
      if (starts_with("[:")) {
        const size_t close = pattern_.find(":]", at_);
        if (close == std::string_view::npos) refuse("'[' in a class");
        copy(close + 2 - at_);
      } else if (pattern_[at_] == '[') {
        refuse("a class in a class");
      } else if (pattern_[at_] == '\\') {
        escape(true);
      } else {
        character();
      }
    }
    if (at_ == pattern_.size()) {
      at_ = start;
      refuse("'[' without ']'");
    }
    copy(1);
  }

  void escape_outside() { escape(false); }
  void escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) refuse("a backslash at the end");
    const char letter = pattern_[at_ + 1];
    for (const ClassEscape& row : class_escapes) {
      if (row.letter != letter) continue;
      if (in_class && row.negated) return negated_member(row);
      result_ += in_class ? std::string(row.members) : fmt::format("[{}{}{}]", row.negated ? "^" : "", row.members, row.alone);
      at_ += 2;
      return;
    }
    if (letter == 'p' || letter == 'P') return property();
    if (letter == 'u') return code_point();
    if (letter == 'b' || letter == 'B') return in_class ? copy(2) : boundary(letter == 'B');
    if (letter == 'v') {
      result_ += "\\x0b";
      at_ += 2;
      return;
    }
    const auto byte = static_cast<unsigned char>(letter);
    const bool sign = byte < 0x80 && !std::isalnum(byte);
    if (letter == 'x' || sign || same_escapes.find(letter) != std::string_view::npos) return copy(2);
    refuse(fmt::format("'\\{}'", escaped(std::string_view(&letter, 1))));
  }
  // Of the same words.
  void boundary(bool negated) {
    const std::string word = fmt::format("[{}{}]", word_members, words_alone);
    const auto [edge, inner] = negated ? std::pair("=", "!") : std::pair("!", "=");
    result_ += fmt::format("(?:(?<={0})(?{1}{0})|(?<!{0})(?{2}{0}))", word, edge, inner);
    at_ += 2;
  }
  // The complement among other members: only where PCRE2 means the same.
  void negated_member(const ClassEscape& row) {
    if (row.letter != 'S') refuse(fmt::format("'\\{}' in a class", row.letter));
    result_ += "\\S\\x{180e}";
    at_ += 2;
  }
  void property() {
    const size_t close = pattern_.find('}', at_);
    if (at_ + 2 >= pattern_.size() || pattern_[at_ + 2] != '{' || close == std::string_view::npos) refuse("a property without braces");
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    const bool negated = name.starts_with('^');
    if (negated) name.remove_prefix(1);
    const bool category = name.size() <= 2;
    result_ += fmt::format("\\{}{{{}{}{}}}", pattern_[at_ + 1], negated ? "^" : "", !category && is_script(name) ? "sc:" : "", name);
    at_ = close + 1;
  }
  void code_point() {
    const std::string_view digits = pattern_.substr(at_ + 2, 4);
    if (digits.size() < 4 || !std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isxdigit(c) != 0; }))
      refuse("'\\u' without four digits");
    result_ += fmt::format("\\x{{{}}}", digits);
    at_ += 6;
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string result_;
  size_t atom_ = std::string::npos;  // in the result
  std::vector<size_t> groups_;       // where each open one begins
};

}  // namespace

std::string translated_pattern(std::string_view pattern) { return Translation(pattern).run(); }

}  // namespace intaglio::data
