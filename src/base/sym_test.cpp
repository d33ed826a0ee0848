#include <intaglio/sym.h>

#include <random>

#include <gtest/gtest.h>

#include <intaglio/error.h>

namespace intaglio {
namespace {

std::string canonical(std::string_view text) { return to_string(*parse_sym_expr(text)); }
std::optional<int64_t> value(std::string_view text, const SymBindings& bindings = {}) { return evaluate(*parse_sym_expr(text), bindings); }
std::string range(std::string_view text, const SymRanges& ranges) {
  const SymRange found = bounds(*parse_sym_expr(text), ranges);
  const auto end = [](const std::optional<int64_t>& v) { return v ? std::to_string(*v) : std::string("-"); };
  return "[" + end(found.min) + ", " + end(found.max) + "]";
}
SymInt sized(std::string_view text, std::optional<int64_t> hint) { return SymInt(parse_sym_expr(text), std::string(text), hint); }

TEST(Sym, ReadsSreprAndInfixAlike) {
  const std::pair<const char*, const char*> rows[] = {
      {"Symbol('s77', positive=True, integer=True)", "s77"},
      {"Mul(Integer(4), Symbol('s77', positive=True, integer=True))", "4*s77"},
      {"Add(Mul(Integer(4), Symbol('s77', positive=True, integer=True)), Integer(1))", "4*s77 + 1"},
      {"Add(Symbol('s1', integer=True), Mul(Integer(-1), Symbol('s0', integer=True)), Integer(-3))", "-s0 + s1 - 3"},
      {"Max(Integer(1), Symbol('s0', integer=True))", "Max(1, s0)"},
      {"FloorDiv(Add(Symbol('s0', integer=True), Integer(-1)), Integer(2))", "(s0 - 1)//2"},
      {"GreaterThan(Symbol('u0', integer=True), Integer(0))", "u0 >= 0"},
      {"StrictLessThan(Symbol('u0', integer=True), Integer(4))", "u0 < 4"},
      {"Pow(Symbol('s0', integer=True), Integer(2))", "s0**2"},
      {"Mod(Symbol('s0', integer=True), Integer(8))", "s0 % 8"},
      {"Eq(Symbol('s0', integer=True), Integer(3))", "s0 == 3"},
  };
  for (const auto& [srepr, infix] : rows) {
    EXPECT_EQ(canonical(srepr), infix);
    EXPECT_EQ(canonical(infix), infix);
  }
}

TEST(Sym, CanonicalTextsOfEqualExpressionsAreEqual) {
  const std::pair<const char*, const char*> rows[] = {
      {"s0 + s0", "2*s0"},
      {"2*(s0 + 1)", "2*s0 + 2"},
      {"s1*s0", "s0*s1"},
      {"(s0+1)*(s0-1)", "s0**2 - 1"},
      {"s0 - s0", "0"},
      {"(4*s0 + 8)//4", "s0 + 2"},
      {"Max(s0, 3, Max(5, s1))", "Max(5, s0, s1)"},
      {"7//2", "3"},
      {"-7//2", "-4"},
      {"1*s0 + 0", "s0"},
      {"2*((s0 + 1)//2)", "2*((s0 + 1)//2)"},
      {"s0 - (s1 - s2)", "s0 - s1 + s2"},
      {"-(s0//2)", "-(s0//2)"},
  };
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(canonical(text), expected) << text;
    EXPECT_EQ(canonical(expected), expected);
  }
}

TEST(Sym, SreprKeepsAssumptions) {
  const std::string text = "Add(Mul(Integer(4), Symbol('s77', positive=True, integer=True)), Integer(1))";
  EXPECT_EQ(to_srepr(*parse_sym_expr(text)), text);
  EXPECT_EQ(to_srepr(*parse_sym_expr("u0 + 2")), "Add(Symbol('u0', integer=True), Integer(2))");
  EXPECT_EQ(to_srepr(*parse_sym_expr("ToFloat(s0)*0.5")), "Mul(ToFloat(Symbol('s0', integer=True)), Float('0.5', precision=53))");
}

TEST(Sym, RefusesEverythingElse) {
  const char* rows[] = {
      "",
      " ",
      "s0 +",
      "(s0",
      "s0)",
      "s0 s1",
      "__import__('os')",
      "exec('x')",
      "s0.bit_length()",
      "lambda: 0",
      "Symbol('s0', positive=evil())",
      "Symbol('a b')",
      "Symbol('__class__')",
      "Symbol(s0)",
      "Integer('1')",
      "Integer(1.5)",
      "FloorDiv(s0)",
      "Add()",
      "9223372036854775808",
      "Symbol('s0",
      "oo",
      "s0[0]",
      "s0 < 1 < 2",
      "x if y else z",
      "Float('x')",
      "\"s0\"",
      "s0;s1",
      "s0\n",
      "Integer(",
      "Symbol('')",
      "s0 = 1",
  };
  for (const char* text : rows) EXPECT_THROW(parse_sym_expr(text), Error) << text;
  EXPECT_THROW(parse_sym_expr(std::string_view("s\0", 2)), Error);
}

TEST(Sym, LimitsDepthAndLength) {
  const auto nested = [](const char* open, const char* close, int depth) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += open;
    text += "s0";
    for (int i = 0; i < depth; ++i) text += close;
    return text;
  };
  EXPECT_NO_THROW(parse_sym_expr(nested("(", ")", 60)));
  EXPECT_THROW(parse_sym_expr(nested("(", ")", 1000)), Error);
  EXPECT_THROW(parse_sym_expr(nested("Max(", ", 1)", 1000)), Error);
  EXPECT_THROW(parse_sym_expr(nested("-", "", 1000)), Error);
  EXPECT_THROW(parse_sym_expr(nested("2**", "", 1000)), Error);
  EXPECT_THROW(parse_sym_expr(nested("", "//3", 100)), Error);
  EXPECT_NO_THROW(parse_sym_expr(nested("", " + 3", 1000)));
  EXPECT_THROW(parse_sym_expr(std::string(100000, '1')), Error);
}

// What is asked of a size again and again costs no more than a size is worth.
TEST(Sym, LimitsPartsAndSteps) {
  const auto joined = [](size_t terms, const char* separator, const char* term) {
    std::string text;
    for (size_t i = 0; i < terms; ++i) text += (i ? separator : "") + std::string(term);
    return text;
  };
  EXPECT_NO_THROW(parse_sym_expr(joined(1000, " + ", "s0")));
  EXPECT_THROW(parse_sym_expr(joined(3000, " + ", "s0")), Error);
  EXPECT_THROW(parse_sym_expr(joined(1000, "*", "(s0 + 1)")), Error);
  EXPECT_EQ(canonical(joined(1000, " + ", "s0")), "1000*s0");
  // Once for each level it was, in which every level asked twice.
  std::string nested = "s0";
  for (int i = 0; i < 60; ++i) nested = "FloorDiv(" + nested + ", 3)";
  EXPECT_TRUE(canonical(nested).starts_with("s0//3//3"));
  // Too many steps leave an expression as it is, and its value with it.
  const std::string product = joined(300, "*", "(s0 - s1)");
  EXPECT_EQ(canonical(product), product);
  EXPECT_EQ(value(product, {{"s0", 3}, {"s1", 2}}), 1);
}

TEST(Sym, ArithmeticEndsWhereTextsEnd) {
  SymInt size = sized("u0//2", std::nullopt);
  const auto grow = [&] {
    for (int i = 0; i < 100; ++i) size = floor_div(size, SymInt(3)) + SymInt(1);
  };
  EXPECT_THROW(grow(), Error);
}

TEST(Sym, Evaluates) {
  const SymBindings at{{"s0", 7}, {"s1", -3}};
  const std::pair<const char*, std::optional<int64_t>> rows[] = {
      {"4*s0 + 1", 29},
      {"s0//2", 3},
      {"s1//2", -2},
      {"s1 % 2", 1},
      {"s0 % -4", -1},
      {"CeilDiv(s0, 2)", 4},
      {"Max(s0, s1, 9)", 9},
      {"Min(s0, s1)", -3},
      {"s0**3", 343},
      {"s0 >= 7", 1},
      {"s0 < 7", 0},
      {"Where(s0 > 1, 5, 6)", 5},
      {"ModularIndexing(s0, 2, 2)", 1},
      {"s0 << 2", 28},
      {"s0//0", {}},
      {"s0 % 0", {}},
      {"s2", {}},
      {"CeilToInt(IntTrueDiv(s0, 2))", 4},
      {"TruncToInt(s1/2)", -1},
      {"RoundToInt(s0/2)", 4},
      {"s0/2", {}},
      {"s0*2/2", 7},
      {"Abs(s1)", 3},
      {"Not(s0 > 1)", 0},
      {"(s0 > 1) & (s1 > 1)", 0},
      {"(s0 > 1) | (s1 > 1)", 1},
      {"Mul(Rational(1, 7), s0)", 1},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(value(text, at), expected) << text;
}

TEST(Sym, EvaluationRefusesOverflow) {
  const SymBindings at{{"s0", INT64_MAX}, {"s1", INT64_MIN}};
  for (const char* text : {"s0 + 1", "s1 - 1", "2*s0", "s0**2", "s1//-1", "s0 << 1", "-1*s1", "Abs(s1)", "3**100"})
    EXPECT_EQ(value(text, at), std::nullopt) << text;
  EXPECT_EQ(value("s1 % -1", at), 0);
}

TEST(Sym, BoundsOfExpressions) {
  const SymRanges ranges{{"s0", {2, 128}}, {"s1", {-3, 5}}, {"s2", {0, std::nullopt}}, {"s0 + 7", {10, 100}}};
  const std::pair<const char*, const char*> rows[] = {
      {"4*s0 + 1", "[9, 513]"},
      {"s1*s0", "[-384, 640]"},
      {"s0 - s1", "[-3, 131]"},
      {"s2 + 1", "[1, -]"},
      {"-s2", "[-, 0]"},
      {"s0//3", "[0, 42]"},
      {"s1//2", "[-2, 2]"},
      {"s2//4", "[0, -]"},
      {"s0 % 8", "[0, 7]"},
      {"s2 % s0", "[0, 127]"},
      {"Max(s1, 1)", "[1, 5]"},
      {"Min(s2, 10)", "[0, 10]"},
      {"s1**2", "[0, 25]"},
      {"s9", "[-, -]"},
      {"s0 > 1", "[1, 1]"},
      {"s0 > 128", "[0, 0]"},
      {"s0 >= 5", "[0, 1]"},
      {"s0//s1", "[-, -]"},
      {"s0 + 7", "[10, 100]"},
      {"Abs(s1)", "[0, 5]"},
      {"s2*s2*s2", "[0, -]"},
      {"100//(s2 + 1)", "[0, 100]"},
      {"FloorToInt(s0/2)", "[1, 65]"},
      {"Not(s0)", "[0, 0]"},
      {"Not(s1)", "[0, 1]"},
      {"Not(0)", "[1, 1]"},
      {"s0//Not(2)", "[-, -]"},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(range(text, ranges), expected) << text;
}

TEST(Sym, SizesInArithmetic) {
  EXPECT_EQ((SymInt(3) + SymInt(4)).value(), 7);
  EXPECT_EQ((SymInt(3) * SymInt(4)).value(), 12);
  EXPECT_EQ((SymInt(3) - SymInt(4)).value(), -1);
  EXPECT_EQ(floor_div(SymInt(-7), SymInt(2)).value(), -4);
  EXPECT_THROW(SymInt(INT64_MAX) + SymInt(1), Error);
  EXPECT_THROW(floor_div(SymInt(1), SymInt(0)), Error);

  const SymInt s = sized("Symbol('s77', positive=True, integer=True)", 4);
  const SymInt derived = s * SymInt(2) + SymInt(1);
  EXPECT_FALSE(derived.is_static());
  EXPECT_EQ(derived.hint(), 9);
  EXPECT_EQ(to_string(derived), "2*s77 + 1");
  EXPECT_EQ(derived.text(), "Add(Mul(Integer(2), Symbol('s77', positive=True, integer=True)), Integer(1))");
  EXPECT_TRUE((s - s).is_static());
  EXPECT_EQ((s - s).value(), 0);
  EXPECT_EQ(floor_div(s * SymInt(4), SymInt(4)), s);
  EXPECT_THROW(derived.value(), Error);

  const SymInt unbacked = sized("u0", std::nullopt);
  EXPECT_EQ(unbacked.hint(), std::nullopt);
  EXPECT_EQ((unbacked + s).hint(), std::nullopt);
  EXPECT_EQ(s + unbacked, unbacked + s);
  EXPECT_FALSE(s == unbacked);
  EXPECT_FALSE(s == SymInt(4));
}

// Random expressions: the canonical form has the value of the original and lies within its bounds.
TEST(Sym, CanonicalFormKeepsTheValue) {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::function<std::string(int)> make = [&](int depth) -> std::string {
    if (depth == 0 || pick(4) == 0) return pick(2) ? "s" + std::to_string(pick(3)) : std::to_string(pick(9) - 4);
    const char* forms[] = {"({} + {})",   "({} - {})",   "({} * {})",       "({} // {})", "({} % {})",
                           "Max({}, {})", "Min({}, {})", "CeilDiv({}, {})", "({} >= {})", "Where(s0 > 1, {}, {})"};
    std::string form = forms[pick(10)];
    for (int i = 0; i < 2; ++i) form.replace(form.find("{}"), 2, "(" + make(depth - 1) + ")");
    return form;
  };
  const SymRanges ranges{{"s0", {-3, 9}}, {"s1", {1, 4}}, {"s2", {0, std::nullopt}}};
  for (int i = 0; i < 2000; ++i) {
    const std::string text = make(4);
    const SymBindings at{{"s0", pick(13) - 3}, {"s1", pick(4) + 1}, {"s2", pick(50)}};
    const auto expression = parse_sym_expr(text);
    const auto expected = evaluate(*expression, at);
    if (!expected) continue;
    EXPECT_EQ(value(to_string(*expression), at), expected) << text << " became " << to_string(*expression);
    EXPECT_EQ(value(to_srepr(*expression), at), expected) << text;
    const SymRange within = bounds(*expression, ranges);
    EXPECT_LE(within.min.value_or(INT64_MIN), *expected) << text;
    EXPECT_GE(within.max.value_or(INT64_MAX), *expected) << text;
  }
}

}  // namespace
}  // namespace intaglio
