#include "data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <array>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/regex.h"
#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

using Ids = std::vector<int64_t>;

std::string file_with(std::string_view model, std::string_view rest = "") {
  return fmt::format(R"({{"model": {{"type": "BPE", {}}}{}{}}})", model, rest.empty() ? "" : ", ", rest);
}

constexpr std::string_view hello =
    R"("vocab": {"h": 0, "e": 1, "l": 2, "o": 3, "he": 4, "ll": 5, "hell": 6, "lo": 7, "<0xC3>": 8, "<0xA9>": 9}, "merges": ["l l", "h e", "he ll", ["l", "o"]])";

TEST(Tokenizer, MergesByRankLeftmostFirst) {
  const auto tokenizer = parse_tokenizer_json(file_with(hello));
  EXPECT_EQ(tokenizer->encode("hello"), (Ids{6, 3}));
  EXPECT_EQ(tokenizer->encode("lllo"), (Ids{5, 7}));
  EXPECT_EQ(tokenizer->encode("x"), Ids());  // no token for what is unknown
  EXPECT_EQ(tokenizer->vocab_size(), 10);
  EXPECT_EQ(tokenizer->id_of("hell"), 6);
  EXPECT_FALSE(tokenizer->id_of("xx"));
}

TEST(Tokenizer, SpellsInBytesWhatIsUnknown) {
  const auto tokenizer =
      parse_tokenizer_json(file_with(fmt::format(R"({}, "byte_fallback": true)", hello),
                                     R"("decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]})"));
  EXPECT_EQ(tokenizer->encode("h\u00e9"), (Ids{0, 8, 9}));
  EXPECT_EQ(tokenizer->decode(Ids{0, 8, 9, 3}), "h\u00e9o");
  EXPECT_EQ(tokenizer->decode(Ids{0, 8, 3}), "h\uFFFDo");
}

TEST(Tokenizer, LeavesSpecialTokensOutOfTheText) {
  const auto tokenizer = parse_tokenizer_json(file_with(hello, R"("added_tokens": [{"id": 20, "content": "<s>", "single_word": false,
    "lstrip": false, "rstrip": true, "normalized": false, "special": true}], "post_processor": {"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [20], "tokens": ["<s>"]}}}, "decoder": {"type": "Fuse"})"));
  EXPECT_EQ(tokenizer->encode("he<s>  llo"), (Ids{20, 4, 20, 5, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{20, 4, 20, 5, 3}), "hello");
  EXPECT_EQ(tokenizer->vocab_size(), 21);
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const auto tokenizer = parse_tokenizer_json(file_with(hello));
  EXPECT_THROW(tokenizer->encode("he\xff"), Error);
}

TEST(Tokenizer, RefusesNestingWithoutEnd) {
  std::string step = R"({"type": "NFC"})";
  for (int i = 0; i < 2000; ++i) step = R"({"type": "Sequence", "normalizers": [)" + step + "]}";
  EXPECT_THROW(parse_tokenizer_json(file_with(hello, R"("normalizer": )" + step)), Error);
}

TEST(Tokenizer, BoundsWhatReplacementsMakeOfAText) {
  const std::string step = fmt::format(R"({{"type": "Replace", "pattern": {{"String": "h"}}, "content": "{}"}})", std::string(8000, 'h'));
  const auto tokenizer =
      parse_tokenizer_json(file_with(hello, fmt::format(R"("normalizer": {{"type": "Sequence", "normalizers": [{}, {}]}})", step, step)));
  EXPECT_THROW(tokenizer->encode("h"), Error);
}

TEST(Tokenizer, RefusesIdsThatAreNone) {
  EXPECT_THROW(parse_tokenizer_json(file_with(hello, R"("post_processor": {"type": "BertProcessing", "sep": ["b", 2], "cls": ["a", -1]})")),
               Error);
  EXPECT_THROW(parse_tokenizer_json(file_with(R"("vocab": {"a": 4294967296}, "merges": [])")), Error);
}

TEST(Tokenizer, ByteCharactersAreOneToOne) {
  for (int byte = 0; byte < 256; ++byte)
    EXPECT_EQ(byte_of_character(character_of_byte(static_cast<unsigned char>(byte))), static_cast<unsigned char>(byte));
  EXPECT_EQ(in_byte_characters(" a\n"), "\u0120a\u010a");
  EXPECT_FALSE(byte_of_character(U' '));
}

TEST(Regex, SaysOnigurumasWordsInPcres) {
  EXPECT_EQ(translated_pattern("[^\\s]+?"), "[^\\x09-\\x0d\\x{85}\\p{Z}]+?");
  EXPECT_EQ(translated_pattern("(?:ab){1,3}+x{,2}"), "(?:(?:ab){1,3})+x{0,2}");
  EXPECT_EQ(translated_pattern("\\u4e00\\p{Han}\\p{Lu}{"), "\\x{4e00}\\p{sc:Han}\\p{Lu}\\{");
  for (const char* pattern : {"(?<name>a)", "a)", "[a", "[a&&b]", "\\", "\\pL", "\\k<a>", "(?#x)"})
    EXPECT_THROW(translated_pattern(pattern), Error) << pattern;
}

TEST(Regex, FindsNoEmptyMatchBehindAnother) {
  std::vector<std::array<size_t, 2>> found;
  for (const Span match : Regex("x*").find_all("a\u00e9xxb")) found.push_back({match.begin, match.end});
  EXPECT_EQ(found, (std::vector<std::array<size_t, 2>>{{0, 0}, {1, 1}, {3, 5}, {6, 6}}));
}

TEST(AddedTokens, TakesTheLongestAndKeepsWordsWhole) {
  AddedTokens tokens;
  tokens.add({.content = "ab", .id = 1});
  tokens.add({.content = "abc", .id = 2});
  tokens.add({.content = "w", .id = 3, .single_word = true, .lstrip = true});
  std::vector<std::array<int64_t, 3>> found;
  for (const Stretch& stretch : tokens.split("abcab  w xw"))
    found.push_back({static_cast<int64_t>(stretch.span.begin), static_cast<int64_t>(stretch.span.end), stretch.id});
  EXPECT_EQ(found, (std::vector<std::array<int64_t, 3>>{{0, 3, 2}, {3, 5, 1}, {5, 8, 3}, {8, 11, -1}}));
}

TEST(AddedTokens, BlanksAreTakenOnce) {
  AddedTokens tokens;
  tokens.add({.content = "  ", .id = 1, .lstrip = true, .rstrip = true});
  std::vector<std::array<int64_t, 3>> found;
  for (const Stretch& stretch : tokens.split("a    b  \n    "))
    found.push_back({static_cast<int64_t>(stretch.span.begin), static_cast<int64_t>(stretch.span.end), stretch.id});
  EXPECT_EQ(found, (std::vector<std::array<int64_t, 3>>{{0, 1, -1}, {1, 5, 1}, {5, 6, -1}, {6, 13, 1}}));
}

TEST(Utf8, ReplacesEachMaximalPart) { EXPECT_EQ(utf8::replaced_faults("a\xe2\x82z\xff\xf0\x9f\x98\x80"), "a\uFFFDz\uFFFD\U0001F600"); }

}  // namespace
}  // namespace intaglio::data
