// The driver on a table of its own: what each backend's table may ask of it. The quantizer_test.cpp of a backend has the rest.
#include <gtest/gtest.h>

#include "pt2e/pattern_table.h"
#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

constexpr std::string_view neg_ops[] = {"aten.neg.default"}, add_ops[] = {"aten.add.Tensor"}, cat_ops[] = {"aten.cat.default"};
constexpr std::string_view abs_ops[] = {"aten.abs.default"}, relu_ops[] = {"aten.relu.default"}, view_ops[] = {"aten.view.default"};
constexpr PatternOperand only_self[] = {{"self"}}, both[] = {{"self"}, {"other"}};

constexpr PatternConstraint small_rows[] = {
    {"", [](PatternRun&, const OperatorMatch& match) { return match.node->output()->meta().rank() != 1; }},
    {"at most two dimensions", [](PatternRun&, const OperatorMatch& match) { return match.node->output()->meta().rank() <= 2; }},
};
constexpr PatternRow rows[] = {
    {{"neg_relu", neg_ops, relu_ops, only_self}, small_rows},
    {{"neg", neg_ops, {}, only_self}, small_rows},
    {{"add", add_ops, {}, both}, {}, true},
    {{"abs", abs_ops, {}, {}}, {}, false, annotate_as_input},
    {{"cat", cat_ops, {}, {}}, {}, false, annotate_joined},
};
constexpr PatternTable table = {"tiny", "Tiny", rows, view_ops, add_ops};

QuantizationConfig config(bool dynamic = false) {
  QuantizationSpec spec;
  spec.is_dynamic = dynamic;
  QuantizationConfig config;
  config.input_activation = spec;
  if (!dynamic) config.output_activation = spec;
  return config;
}

struct Annotated {
  ExportedProgram program;
  Annotations annotations;

  const Node* node(const std::string& name) const { return program.graph().find_value(name)->producer(); }
  const QuantizationAnnotation* at(const std::string& name) const { return annotations.find(node(name)); }
  std::string rule(const std::string& name) const { return at(name) == nullptr ? "" : at(name)->rule; }
  std::string refusal(const std::string& name) const {
    const std::string* text = annotations.refusal(node(name));
    return text == nullptr ? "" : *text;
  }
};

Annotated annotate(ExportedProgram program, PatternQuantizer quantizer) {
  Annotated result{std::move(program), {}};
  quantizer.transform_for_annotation(result.program);
  quantizer.annotate(result.program, result.annotations);
  return result;
}

PatternQuantizer everywhere(bool dynamic = false) {
  PatternQuantizer quantizer(table, Compat::intaglio);
  quantizer.set_global(config(dynamic));
  return quantizer;
}

struct Net : test::ProgramBuilder {
  Value* unary(const std::string& op, Value* x, const std::string& name, Sizes sizes = {2, 2}) {
    return call(op, {{"self", x}}, std::move(sizes), name, {{"L['self']." + name, "my." + name}});
  }
};

TEST(PatternQuantizer, TheFirstRowThatTakesANodeWins) {
  Net b;
  Value* fused = b.unary("aten.relu.default", b.unary("aten.neg.default", b.input("x", {2, 2}), "a"), "r");
  Value* alone = b.unary("aten.neg.default", fused, "n");
  const Annotated p = annotate(b.finish({alone}), everywhere());
  EXPECT_EQ(p.rule("a"), "tiny.neg_relu");
  EXPECT_FALSE(p.at("a")->output_qspec.has_value());
  EXPECT_TRUE(p.at("r")->output_qspec.has_value());
  EXPECT_EQ(p.rule("n"), "tiny.neg");
  EXPECT_EQ(p.at("n")->input_qspec_map.size(), 1u);
}

TEST(PatternQuantizer, RefusalsSayWhatIsAskedFor) {
  Net b;
  Value* deep = b.unary("aten.neg.default", b.input("x", {2, 2, 2}), "deep", {2, 2, 2});
  Value* flat = b.unary("aten.neg.default", b.input("y", {2}), "flat", {2});
  Value* other = b.unary("aten.sin.default", deep, "other", {2, 2, 2});
  Value* view = b.call("aten.view.default", {{"self", other}, {"size", std::vector<int64_t>{8}}}, {8}, "view");
  const Annotated p = annotate(b.finish({view, flat}), everywhere());
  EXPECT_EQ(p.refusal("deep"), "neg: at most two dimensions");
  EXPECT_EQ(p.refusal("flat"), "the configuration leaves it in float");
  EXPECT_EQ(p.refusal("other"), "Tiny's quantizer has no pattern for this op");
  EXPECT_EQ(p.refusal("view"), "sharing: what it reads is quantized by the node that makes it");
}

TEST(PatternQuantizer, DynamicConfigurationsTryTheirRowsAlone) {
  Net b;
  Value* x = b.input("x", {2, 2});
  Value* sum = b.call("aten.add.Tensor", {{"self", x}, {"other", b.unary("aten.neg.default", x, "n")}}, {2, 2}, "sum");
  const Annotated p = annotate(b.finish({sum}), everywhere(true));
  EXPECT_EQ(p.rule("sum"), "tiny.add");
  EXPECT_EQ(p.rule("n"), "");
}

// Names before types before operators before the rest; what is chosen elsewhere is not the global configuration's.
TEST(PatternQuantizer, NarrowChoicesComeFirst) {
  Net b;
  Value* x = b.input("x", {2, 2});
  Value *a = b.unary("aten.neg.default", x, "a"), *c = b.unary("aten.neg.default", a, "c");
  Value *d = b.unary("aten.neg.default", c, "d"), *e = b.unary("aten.abs.default", d, "e");
  QuantizationConfig wide = config();
  wide.input_activation->dtype = DType::int16;
  PatternQuantizer quantizer(table, Compat::intaglio);
  quantizer.set_module_name("a", wide).set_module_type("my.c", std::nullopt).set_operator_type("aten.abs", std::nullopt);
  quantizer.set_global(config());
  const Annotated p = annotate(b.finish({e}), std::move(quantizer));
  EXPECT_EQ(std::get<QuantizationSpec>(*p.at("a")->input_qspec_map[0].second).dtype, DType::int16);
  EXPECT_EQ(p.rule("c"), "");
  EXPECT_EQ(std::get<QuantizationSpec>(*p.at("d")->input_qspec_map[0].second).dtype, DType::int8);
  EXPECT_EQ(p.rule("e"), "");
}

TEST(PatternQuantizer, ParametersAreSharedThroughViewsAndByLists) {
  Net b;
  Value* x = b.input("x", {2, 2});
  Value* n = b.unary("aten.neg.default", b.input("y", {2, 2}), "n");
  Value* view = b.call("aten.view.default", {{"self", n}, {"size", std::vector<int64_t>{2, 2}}}, {2, 2}, "view");
  Value* cat = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{x, view, x}}, {"dim", 0}}, {6, 2}, "cat");
  Value* abs = b.unary("aten.abs.default", cat, "abs", {6, 2});
  const Annotated p = annotate(b.finish({abs}), everywhere());
  EXPECT_EQ(p.rule("view"), "tiny.sharing");
  // The view's parameters come from a quantized node: it owns those of the list. A tensor that is twice in it counts once.
  ASSERT_EQ(p.at("cat")->input_qspec_map.size(), 2u);
  EXPECT_EQ(p.at("cat")->input_qspec_map[0].first, view);
  const auto& shared = std::get<SharedQuantizationSpec>(*p.at("cat")->input_qspec_map[1].second);
  EXPECT_EQ(shared.target, EdgeOrValue(QuantEdge{view, cat->producer()}));
  EXPECT_EQ(std::get<SharedQuantizationSpec>(*p.at("abs")->output_qspec).target, EdgeOrValue(QuantEdge{cat, abs->producer()}));
}

TEST(PatternQuantizer, NumbersBecomeBuffersOfFreeNames) {
  Net b;
  b.buffer("_tensor_constant_0", Tensor::scalar(7.0f));
  Value* first = b.call("aten.add.Tensor", {{"self", b.input("x", {2})}, {"other", 2}}, {2}, "first");
  Value* second = b.call("aten.add.Tensor", {{"self", first}, {"other", 1e30}}, {2}, "second");
  Value* third = b.call("aten.add.Tensor", {{"self", second}, {"other", 3.5}}, {2}, "third");
  const Annotated p = annotate(b.finish({third}), everywhere());
  EXPECT_EQ(*p.program.target_of(p.node("first")->tensor("other")), "_tensor_constant_1");
  EXPECT_TRUE(p.node("second")->find("other")->is<double>());
  EXPECT_EQ(p.program.constant(p.node("third")->tensor("other"))->item_as_double(), 3.5);
}

}  // namespace
}  // namespace intaglio::pt2e
