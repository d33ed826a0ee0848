#include "ir/text_reader.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/program_text.h"

namespace intaglio {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string TextReader::place(size_t position) const {
  const std::string_view before = text_.substr(0, position);
  const size_t line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t start = before.rfind('\n');  // npos + 1 is 0
  return fmt::format("line {}, column {}", line, position - (start + 1) + 1);
}

void TextReader::fail_at(size_t position, const std::string& problem) const {
  throw_bad_input(fmt::format("{}: {}", place(position), problem));
}

void TextReader::skip_blanks() {
  while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\t' || text_[position_] == '\r')) ++position_;
}

bool TextReader::at_end() {
  skip_blanks();
  return position_ == text_.size();
}

bool TextReader::at(std::string_view token) {
  skip_blanks();
  return text_.substr(position_).starts_with(token);
}

bool TextReader::take(std::string_view token) {
  if (!at(token)) return false;
  position_ += token.size();
  return true;
}

bool TextReader::take_word(std::string_view word) {
  if (!at(word)) return false;
  const size_t end = position_ + word.size();
  if (end < text_.size() && is_word_character(text_[end])) return false;
  position_ = end;
  return true;
}

void TextReader::expect(std::string_view token) {
  if (take(token)) return;
  const std::string_view rest = text_.substr(position_);
  const std::string there = rest.empty()      ? "the text ends"
                            : rest[0] == '\n' ? "the line ends"
                                              : fmt::format("'{}' stands", escaped(rest.substr(0, rest.find('\n')), 20));
  fail(fmt::format("'{}' is expected where {}", token, there));
}

void TextReader::end_line() {
  skip_blanks();
  if (at("#")) position_ = std::min(text_.find('\n', position_), text_.size());
  if (position_ == text_.size()) return;
  if (text_[position_] != '\n')
    fail(fmt::format("the line should end before '{}'", escaped(text_.substr(position_, text_.find('\n', position_) - position_), 20)));
  ++position_;
}

void TextReader::skip_empty_lines() {
  while (!at_end() && (at("#") || at("\n"))) end_line();
}

std::string TextReader::word() {
  if (at("'")) return quoted();
  const size_t start = position_;
  while (position_ < text_.size() && is_word_character(text_[position_])) ++position_;
  if (position_ == start) fail("a name is expected");
  return std::string(text_.substr(start, position_ - start));
}

std::string TextReader::quoted() {
  expect("'");
  const size_t start = position_;
  std::string result;
  for (;; ++position_) {
    if (position_ == text_.size() || text_[position_] == '\n') fail_at(start, "the quote is not closed");
    if (text_[position_] == '\'') break;
    if (text_[position_] != '\\') {
      result += text_[position_];
      continue;
    }
    const char escape = position_ + 1 < text_.size() ? text_[position_ + 1] : '\n';
    if (escape == '\'' || escape == '\\') {
      result += escape;
      position_ += 1;
    } else if (escape == 'x' && position_ + 3 < text_.size() && hex_value(text_[position_ + 2]) >= 0 &&
               hex_value(text_[position_ + 3]) >= 0) {
      result += static_cast<char>(hex_value(text_[position_ + 2]) * 16 + hex_value(text_[position_ + 3]));
      position_ += 3;
    } else fail("a backslash stands before a quote, a backslash or x and two digits");
  }
  ++position_;
  return result;
}

bool TextReader::at_number() {
  skip_blanks();
  const std::string_view rest = text_.substr(position_, position_ < text_.size() && text_[position_] == '-' ? 4 : 3);
  const std::string_view digits = rest.starts_with('-') ? rest.substr(1) : rest;
  return !digits.empty() && ((digits[0] >= '0' && digits[0] <= '9') || digits == "inf" || digits == "nan");
}

std::string_view TextReader::number_text() {
  if (!at_number()) fail("a number is expected");
  const size_t start = position_;
  size_t end = start + (text_[start] == '-' ? 1 : 0);
  if (const std::string_view name = text_.substr(end, 3); name == "inf" || name == "nan") end += 3;
  else
    while (end < text_.size() &&
           ((text_[end] >= '0' && text_[end] <= '9') || text_[end] == 'e' || (text_[end] == '.' && !text_.substr(end).starts_with("..")) ||
            ((text_[end] == '-' || text_[end] == '+') && text_[end - 1] == 'e')))
      ++end;
  position_ = end;
  return text_.substr(start, end - start);
}

bool TextReader::number_is_integer() {
  const size_t start = position_;
  const std::string_view text = number_text();
  position_ = start;
  return text.find_first_of(".enf") == std::string_view::npos;
}

std::string_view TextReader::until(std::string_view ends) {
  skip_blanks();
  const size_t start = position_;
  int depth = 0;
  for (; position_ < text_.size() && text_[position_] != '\n'; ++position_) {
    const char c = text_[position_];
    if (depth == 0 && ends.find(c) != std::string_view::npos) break;
    if (c == '(') ++depth;
    if (c == ')') --depth;
  }
  return text_.substr(start, position_ - start);
}

}  // namespace intaglio
