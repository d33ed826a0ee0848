#include "data/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <optional>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

constexpr size_t longest_pattern = 64 << 10;
constexpr uint32_t most_steps = 1'000'000;  // from one place of the text
constexpr uint32_t most_heap_kibibytes = 64 << 10;
constexpr uint32_t deepest_nesting = 100;

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;

  Code(std::string_view pattern, std::string_view shown, uint32_t options) {
    if (pattern.size() > longest_pattern)
      throw_bad_input(
          fmt::format("a regular expression of {} bytes; none of a tokenizer is longer than {}", pattern.size(), longest_pattern));
    pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
    if (context == nullptr) throw std::bad_alloc();
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, deepest_nesting);
    int error = 0;
    PCRE2_SIZE place = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options | PCRE2_UTF, &error, &place, context);
    pcre2_compile_context_free(context);
    if (code == nullptr) {
      if (error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
      PCRE2_UCHAR words[128] = {};
      pcre2_get_error_message(error, words, sizeof words);
      throw_unsupported(fmt::format("the regular expression '{}': {}", escaped(shown), reinterpret_cast<const char*>(words)));
    }
    limits = pcre2_match_context_create(nullptr);
    if (limits == nullptr) {
      pcre2_code_free(code);
      throw std::bad_alloc();
    }
    pcre2_set_match_limit(limits, most_steps);
    pcre2_set_heap_limit(limits, most_heap_kibibytes);
  }
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
};

Regex::Regex(std::string_view pattern)
    : code_(std::make_shared<const Code>(translated_pattern(pattern), pattern, PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C)) {}

Regex Regex::literal(std::string_view text) { return Regex(std::make_shared<const Code>(text, text, PCRE2_LITERAL)); }

std::vector<Span> Regex::find_all(std::string_view text) const {
  std::vector<Span> matches;
  each_match(text, [&](Span match) { matches.push_back(match); });
  return matches;
}

void Regex::each_match(std::string_view text, const std::function<void(Span)>& take) const {
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (data == nullptr) throw std::bad_alloc();
  std::optional<size_t> last;  // end of a match
  for (size_t at = 0; at <= text.size();) {
    const int found =
        pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK, data.get(), code_->limits);
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
    if (found < 0)
      throw_bad_input(
          fmt::format("a regular expression of the tokenizer takes too many steps near byte {} of the text; shorten the text", at));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const Span match{ends[0], std::max(ends[0], ends[1])};
    const bool empty = match.begin == match.end;
    if (!empty || last != match.end) take(match);
    last = at = match.end;
    if (!empty) continue;
    if (at >= text.size()) break;
    utf8::next(text, at);
  }
}

}  // namespace intaglio::data
