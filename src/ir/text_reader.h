// A place in a text that is read from left to right. What does not fit is a bad-input error with line and column.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

namespace intaglio {

class TextReader {
 public:
  explicit TextReader(std::string_view text) : text_(text) {}

  // ---- looking; blanks in front are passed over, line ends are not
  bool at_end();
  bool at(std::string_view token);
  size_t position() {
    skip_blanks();
    return position_;
  }
  void go_back(size_t position) { position_ = position; }

  // ---- taking
  bool take(std::string_view token);  // false, and nothing happens, when something else stands here
  bool take_word(std::string_view word);
  void expect(std::string_view token);
  void end_line();          // up to and with the line's end; only a comment may stand there
  void skip_empty_lines();  // and comments, which begin with `#`
  std::string word();       // letters, digits, `_` and `.`, or any text in quotes
  std::string quoted();
  bool at_number();
  template <typename T>
  T number() {
    const std::string_view digits = number_text();
    T value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size())
      fail_at(position_ - digits.size(), "'" + std::string(digits) + "' is not a number of this type");
    return value;
  }
  bool number_is_integer();  // the number that stands here
  // Up to one of `ends` outside of round brackets; `ends` is not taken.
  std::string_view until(std::string_view ends);

  [[noreturn]] void fail(const std::string& problem) { fail_at(position(), problem); }
  [[noreturn]] void fail_at(size_t position, const std::string& problem) const;
  // The position as `line 3, column 7`.
  std::string place(size_t position) const;

 private:
  void skip_blanks();
  std::string_view number_text();
  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace intaglio
