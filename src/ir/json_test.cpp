#include "ir/json.h"

#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/program.h>

namespace intaglio {
namespace {

std::string rewritten(std::string_view text) { return json::Document(text).root().text(); }
double inf = std::numeric_limits<double>::infinity();

TEST(Json, WritesAsPythonDoes) {
  const char* texts[] = {
      R"({"a": 1, "b": [1, 2.5, true, null], "c": {}})",
      R"([])",
      R"("x\ny\t\"\\ \u00e9 \ud83d\ude00 \u007f\u0001")",
      R"([1e-05, 0.0001, 1.0, 100000.0, 1e+16, 1234567890123456.0, -0.0, 0.1, 1.5e-323, 1.7976931348623157e+308])",
      R"([9223372036854775807, -9223372036854775808, 18446744073709551615])",
  };
  for (const char* text : texts) EXPECT_EQ(rewritten(text), text);
  EXPECT_EQ(rewritten("{\"a\":1,\n \"b\":\t[1,2]}"), R"({"a": 1, "b": [1, 2]})");
  EXPECT_EQ(rewritten("[\"é😀\"]"), R"(["\u00e9\ud83d\ude00"])");
  EXPECT_EQ(json::Writer().number(inf).text(), "\"Infinity\"");
  EXPECT_EQ(json::Writer().number(-inf).text(), "\"-Infinity\"");
  EXPECT_EQ(json::Writer().number(std::nan("")).text(), "\"NaN\"");
  EXPECT_EQ(json::quoted("a\xff"), "\"a\\ufffd\"");
  EXPECT_EQ(json::quoted("\xe2\x82"), "\"\\ufffd\\ufffd\"");
}

TEST(Json, RefusesWhatIsNotStrict) {
  const char* texts[] = {"",
                         " ",
                         "{",
                         "[1,]",
                         "NaN",
                         "[NaN]",
                         "[Infinity]",
                         "{\"a\": 1} x",
                         "{\"a\": 1, \"a\": 2}",
                         "[01]",
                         "{\"a\": {\"b\": 1, \"b\": 1}}",
                         "'a'",
                         "[1e999]",
                         "[123456789012345678901234567890]",
                         "\"\xff\"",
                         "[\"\x01\"]",
                         "\xef\xbb\xbf[1]",
                         "{a: 1}",
                         "// x\n1",
                         "tru",
                         "nulll",
                         "[1] [2]",
                         "\"\\ud800\""};
  for (const char* text : texts) EXPECT_THROW(json::Document{text}, Error) << text;
  std::string many = "{";
  for (int i = 0; i < 40; ++i) many += "\"k" + std::to_string(i) + "\": 0, ";
  EXPECT_NO_THROW(json::Document(many + "\"z\": 0}"));
  EXPECT_THROW(json::Document(many + "\"k3\": 0}"), Error);
  EXPECT_THROW(json::Document(many + "\"k30\": 0}"), Error);
}

TEST(Json, LimitsDepth) {
  EXPECT_NO_THROW(json::Document(std::string(300, '[') + std::string(300, ']')));
  for (size_t depth : {500u, 100000u}) EXPECT_THROW(json::Document(std::string(depth, '[') + std::string(depth, ']')), Error);
  EXPECT_THROW(json::Document(std::string(100000, '[')), Error);
}

TEST(Json, TypedReads) {
  const json::Document document(
      R"({"i": 4, "f": 4.0, "s": "x", "n": null, "inf": "-Infinity", "nan": "NaN", "u": {"k": 1}, "big": 9223372036854775808})");
  const json::Value root = document.root();
  EXPECT_EQ(root.at("i").integer("i"), 4);
  EXPECT_EQ(root.at("i").number("i"), 4.0);
  EXPECT_EQ(root.at("f").number("f"), 4.0);
  EXPECT_THROW(root.at("f").integer("f"), Error);
  EXPECT_THROW(root.at("big").integer("big"), Error);
  EXPECT_EQ(root.at("inf").number("inf"), -inf);
  EXPECT_TRUE(std::isnan(root.at("nan").number("nan")));
  EXPECT_THROW(root.at("s").number("s"), Error);
  EXPECT_THROW(root.at("zzz"), Error);
  EXPECT_FALSE(root.find("n"));
  EXPECT_FALSE(root.find("zzz"));
  EXPECT_EQ(root.at("u").only_field("u").first, "k");
  EXPECT_THROW(root.only_field("root"), Error);
  const auto others = root.others("i f s n inf nan u");
  EXPECT_EQ(others.size(), 1u);
  EXPECT_EQ(others.at("big"), "9223372036854775808");
}

constexpr const char* leaf = R"({"type": null, "context": null, "children_spec": []})";

TEST(TreeSpec, RoundTripsEveryContainer) {
  const std::string texts[] = {
      fmt::format("[1, {}]", leaf),
      fmt::format(
          R"([1, {{"type": "builtins.tuple", "context": "null", "children_spec": [{0}, {{"type": "builtins.dict", "context": "[\"a\", \"b\\u00e9\"]", "children_spec": [{0}, {0}]}}]}}])",
          leaf),
      fmt::format(R"([1, {{"type": "collections.namedtuple", "context": "my.Point", "children_spec": [{0}, {0}]}}])", leaf),
      fmt::format(
          R"([1, {{"type": "collections.defaultdict", "context": {{"default_factory_module": "builtins", "default_factory_name": "list", "dict_context": ["k"]}}, "children_spec": [{0}]}}])",
          leaf),
      fmt::format(R"([1, {{"type": "collections.deque", "context": "null", "children_spec": [{0}]}}])", leaf),
      fmt::format(R"([1, {{"type": "my.Registered", "context": "\"x\"", "children_spec": [{0}]}}])", leaf),
      fmt::format(R"([1, {{"type": "builtins.dict", "context": "[1, 2]", "children_spec": [{0}, {0}]}}])", leaf),
  };
  for (const std::string& text : texts) EXPECT_EQ(to_json(parse_tree_spec(text)), text);
  const TreeSpec spec = parse_tree_spec(texts[1]);
  EXPECT_EQ(spec.leaf_count(), 3u);
  EXPECT_EQ(spec.children[1].keys, (std::vector<std::string>{"a", "bé"}));
  EXPECT_EQ(parse_tree_spec(texts[3]).keys, std::vector<std::string>{"k"});
}

TEST(TreeSpec, ContextIsMadeFromKeysWhenThereIsNone) {
  TreeSpec dict{"builtins.dict", "", {"q"}, {TreeSpec{}}};
  EXPECT_EQ(to_json(dict), fmt::format(R"([1, {{"type": "builtins.dict", "context": "[\"q\"]", "children_spec": [{}]}}])", leaf));
  EXPECT_EQ(to_json(TreeSpec{"builtins.list", "", {}, {}}), R"([1, {"type": "builtins.list", "context": "null", "children_spec": []}])");
}

TEST(TreeSpec, RefusesMalformed) {
  const std::string deep = [] {
    std::string text = leaf;
    for (int i = 0; i < 120; ++i) text = fmt::format(R"({{"type": "builtins.tuple", "context": "null", "children_spec": [{}]}})", text);
    return "[1, " + text + "]";
  }();
  const std::string texts[] = {
      "",
      "[]",
      "[1]",
      "[2, {}]",
      "[1, {}]",
      "{}",
      "[1, 2, 3]",
      deep,
      fmt::format("[2, {}]", leaf),
      fmt::format(R"([1, {{"type": "builtins.dict", "context": "[\"a\"]", "children_spec": []}}])"),
      fmt::format(R"([1, {{"type": "builtins.dict", "context": "nonsense", "children_spec": []}}])"),
      fmt::format(R"([1, {{"type": "", "context": "null", "children_spec": []}}])"),
      fmt::format(R"([1, {{"type": null, "context": null, "children_spec": [{}]}}])", leaf),
      fmt::format(R"([1, {{"type": 4, "context": null, "children_spec": []}}])"),
  };
  for (const std::string& text : texts) EXPECT_THROW(parse_tree_spec(text), Error) << text.substr(0, 80);
}

}  // namespace
}  // namespace intaglio
