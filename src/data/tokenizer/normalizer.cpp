#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/unistr.h>
#include <memory>
#include <new>

#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

using Instance = const icu::Normalizer2* (*)(UErrorCode&);

Normalizer in_order(std::vector<Normalizer> steps) {
  return [steps = std::move(steps)](std::string text) {
    for (const Normalizer& one : steps) {
      text = one(std::move(text));
      require_bounded(text.size());
    }
    return text;
  };
}

void require(UErrorCode status) {
  if (status == U_MEMORY_ALLOCATION_ERROR) throw std::bad_alloc();
  if (U_FAILURE(status) != 0) throw_bad_input(fmt::format("ICU has no data for Unicode's normal forms ({})", u_errorName(status)));
}

icu::UnicodeSet characters_of_unicode_9() {
  UErrorCode status = U_ZERO_ERROR;
  icu::UnicodeSet set(u"[:age=9.0:]", status);
  require(status);
  return set;
}

// A form by the tables that the `tokenizers` package has, Unicode 9's: later characters stay as they are.
template <Instance instance>
Normalizer unicode_form(json::Value) {
  static const icu::UnicodeSet known = characters_of_unicode_9();
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* whole = instance(status);
  require(status);
  const std::shared_ptr<const icu::Normalizer2> form = std::make_shared<icu::FilteredNormalizer2>(*whole, known);
  return [form](const std::string& text) {
    UErrorCode failure = U_ZERO_ERROR;
    std::string result;
    const icu::UnicodeString normal = form->normalize(icu::UnicodeString::fromUTF8(text), failure);
    if (U_FAILURE(failure) != 0) throw std::bad_alloc();  // the text is UTF-8: memory is all that can lack
    normal.toUTF8String(result);
    return result;
  };
}

template <typename Predicate>
std::string without(Predicate is, const std::string& text) {
  std::string result;
  for (size_t at = 0; at < text.size();)
    if (const char32_t character = utf8::next(text, at); !is(character)) utf8::append(result, character);
  return result;
}

Normalizer strip_accents(json::Value) {
  return [](const std::string& text) { return without(utf8::is_mark, text); };
}

Normalizer lowercase(json::Value) {
  return [](const std::string& text) {
    constexpr char32_t dotted_capital_i = 0x130, dot_above = 0x307;  // the one character whose lower case is two
    std::string result;
    for (size_t at = 0; at < text.size();) {
      const char32_t character = utf8::next(text, at);
      utf8::append(result, character == dotted_capital_i ? U'i' : static_cast<char32_t>(u_tolower(static_cast<UChar32>(character))));
      if (character == dotted_capital_i) utf8::append(result, dot_above);
    }
    return result;
  };
}

// What no one sees is left out, space is blanks.
std::string cleaned(const std::string& text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = utf8::next(text, at);
    const bool is_space = character == U'\t' || character == U'\n' || character == U'\r';
    if (!is_space && (character == 0 || character == 0xFFFD || utf8::is_control(character))) continue;
    utf8::append(result, is_space || utf8::is_space(character) ? U' ' : character);
  }
  return result;
}

std::string with_ideographs_apart(const std::string& text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = utf8::next(text, at);
    const std::string_view blank = utf8::is_ideograph(character) ? " " : "";
    result += blank;
    utf8::append(result, character);
    result += blank;
  }
  return result;
}

Normalizer bert_text(json::Value step) {
  std::vector<Normalizer> steps;
  const bool lower = flag(step, "lowercase", true);
  if (flag(step, "clean_text", true)) steps.emplace_back(cleaned);
  if (flag(step, "handle_chinese_chars", true)) steps.emplace_back(with_ideographs_apart);
  if (flag(step, "strip_accents", lower)) {
    steps.push_back(unicode_form<icu::Normalizer2::getNFDInstance>(step));
    steps.emplace_back([](const std::string& text) { return without(utf8::is_nonspacing, text); });
  }
  if (lower) steps.push_back(lowercase(step));
  return in_order(std::move(steps));
}

Normalizer strip(json::Value step) {
  return [left = step.at("strip_left").boolean("strip_left"), right = step.at("strip_right").boolean("strip_right")](std::string text) {
    size_t begin = 0, end = text.size();
    for (size_t next = begin; left && begin < end && utf8::is_space(utf8::next(text, next)); begin = next) {}
    for (size_t next = end; right && begin < end && utf8::is_space(utf8::previous(text, next)); end = next) {}
    return text.substr(begin, end - begin);
  };
}

Normalizer prepend(json::Value step) {
  return [front = std::string(step.at("prepend").string("prepend"))](std::string text) { return text.empty() ? text : front + text; };
}

Normalizer replace(json::Value step) {
  return [pattern = read_pattern(step), content = std::string(step.at("content").string("content"))](const std::string& text) {
    return replaced(pattern, text, content);
  };
}

Normalizer byte_level_text(json::Value) {
  return [](const std::string& text) { return in_byte_characters(text); };
}

Normalizer normalizers_in_sequence(json::Value step) { return in_order(make_sequence(step, "normalizers", make_normalizer)); }

constexpr std::array<StepType<Normalizer>, 12> normalizer_types = {{
    {"Sequence", normalizers_in_sequence},
    {"NFC", unicode_form<icu::Normalizer2::getNFCInstance>},
    {"NFD", unicode_form<icu::Normalizer2::getNFDInstance>},
    {"NFKC", unicode_form<icu::Normalizer2::getNFKCInstance>},
    {"NFKD", unicode_form<icu::Normalizer2::getNFKDInstance>},
    {"Lowercase", lowercase},
    {"Strip", strip},
    {"StripAccents", strip_accents},
    {"BertNormalizer", bert_text},
    {"Prepend", prepend},
    {"Replace", replace},
    {"ByteLevel", byte_level_text},
}};

}  // namespace

Normalizer make_normalizer(json::Value section) { return make_step(normalizer_types, section, "normalizer"); }

}  // namespace intaglio::data
