#include "pt2/model_json.h"

#include <algorithm>

namespace intaglio::pt2 {
namespace {

// Names that may stand in a guard, and those that may follow a dot.
constexpr std::string_view names[] = {"L",   "and",   "or",   "not", "True", "False", "None", "len", "max", "min", "abs",
                                      "int", "float", "bool", "is",  "math", "Mod",   "Max",  "Min", "Eq",  "Ne"};
constexpr std::string_view methods[] = {"size", "stride", "storage_offset", "dim", "numel", "floor", "ceil", "trunc", "sqrt"};
constexpr std::string_view punctuation = "()[],+-*/%<>=!&|. ";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

bool is_plain_guard(std::string_view text) {
  if (text.empty() || text.size() > 4096) return false;
  char last = ' ';  // the last character that is no blank
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (is_letter(c)) {
      size_t end = i;
      while (end < text.size() && (is_letter(text[end]) || is_digit(text[end]))) ++end;
      const std::string_view word = text.substr(i, end - i);
      const bool known =
          last == '.' ? std::ranges::find(methods, word) != std::end(methods) : std::ranges::find(names, word) != std::end(names);
      if (!known) return false;
      i = end;
      last = 'a';
    } else if (c == '\'') {
      // A key of an input container, in a subscript.
      const size_t end = text.find('\'', i + 1);
      if (last != '[' || end == std::string_view::npos) return false;
      const std::string_view key = text.substr(i + 1, end - i - 1);
      if (key.find_first_of("\"\\\n\r") != std::string_view::npos) return false;  // PyTorch puts it between quotes of both kinds
      i = end + 1;
      last = '\'';
    } else if (is_digit(c) || punctuation.find(c) != std::string_view::npos) {
      // An assignment or a walrus is no comparison.
      if (c == '=' && !(i + 1 < text.size() && text[i + 1] == '=') && !(last == '=' || last == '<' || last == '>' || last == '!'))
        return false;
      if (c != ' ') last = c;
      ++i;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace intaglio::pt2
