#include "pt2e/spec_map.h"

#include <gtest/gtest.h>

#include <intaglio/error.h>

#include "pt2e/specs_for_tests.h"
#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

// op1(x), op2(x), cat1(op2, op1), op3(x), cat2(op3, cat1): torchao's documented example.
struct TwoCats {
  ProgramBuilder b;
  Value *x, *op1, *op2, *cat1, *op3, *cat2;
  ExportedProgram program;
  Annotations annotations;
  TwoCats() {
    x = b.input("x", {1, 4});
    op1 = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "op1");
    op2 = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "op2");
    cat1 = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{op2, op1}}, {"dim", 1}}, {1, 8}, "cat1");
    op3 = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "op3");
    cat2 = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{op3, cat1}}, {"dim", 1}}, {1, 12}, "cat2");
    program = b.finish({cat2});
    for (Value* op : {op1, op2}) annotations.of(op->producer()).output_qspec = int8_spec();
    annotate_cat(cat1, op2, op1);
    annotate_cat(cat2, op3, cat1);
  }
  void annotate_cat(Value* cat, Value* first, Value* second) {
    const SharedQuantizationSpec shared = {QuantEdge{first, cat->producer()}};
    QuantizationAnnotation& annotation = annotations.of(cat->producer());
    annotation.input_qspec_map = {{first, int8_spec()}, {second, shared}};
    annotation.output_qspec = shared;
  }
};

TEST(SpecMap, SharingIsTransitive) {
  for (const Compat compat : {Compat::intaglio, Compat::torchao}) {
    TwoCats t;
    const SpecMap map = resolve_specs(t.program.graph(), t.annotations, compat);
    EXPECT_EQ(map.entries.size(), 8u);
    ASSERT_EQ(map.groups.size(), 1u);
    EXPECT_EQ(map.groups[0].entries.size(), 8u);
  }
}

TEST(SpecMap, DifferentSpecsAreNotJoined) {
  ProgramBuilder b;
  Value* x = b.input("x", {1, 4});
  Value* a = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "a");
  Value* c = b.call("aten.relu.default", {{"self", a}}, {1, 4}, "c");
  Value* d = b.call("aten.relu.default", {{"self", a}}, {1, 4}, "d");
  ExportedProgram program = b.finish({c, d});
  Annotations annotations;
  annotations.of(a->producer()).output_qspec = int8_spec();
  annotations.of(c->producer()).input_qspec_map = {{a, int8_spec()}};
  annotations.of(d->producer()).input_qspec_map = {{a, int8_spec(-127)}};
  SpecMap map = resolve_specs(program.graph(), annotations, Compat::intaglio);
  EXPECT_EQ(map.find(a, nullptr)->group, map.find(a, c->producer())->group);
  EXPECT_NE(map.find(a, nullptr)->group, map.find(a, d->producer())->group);

  annotations.of(c->producer()).allow_implicit_sharing = false;
  map = resolve_specs(program.graph(), annotations, Compat::intaglio);
  EXPECT_NE(map.find(a, nullptr)->group, map.find(a, c->producer())->group);
}

// torchao asserts when a group's first entry refers to a later one; by default the later spec decides.
TEST(SpecMap, EarlierEntryMayReferToALaterOne) {
  ProgramBuilder b;
  Value* x = b.input("x", {1, 4});
  Value* a = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "a");
  Value* c = b.call("aten.relu.default", {{"self", a}}, {1, 4}, "c");
  ExportedProgram program = b.finish({c});
  Annotations annotations;
  annotations.of(a->producer()).output_qspec = SharedQuantizationSpec{c};
  annotations.of(c->producer()).output_qspec = int8_spec();
  const SpecMap map = resolve_specs(program.graph(), annotations, Compat::intaglio);
  ASSERT_EQ(map.groups.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<QuantizationSpec>(*map.groups[0].spec));
  EXPECT_THROW(resolve_specs(program.graph(), annotations, Compat::torchao), Error);
}

TEST(SpecMap, CirclesAndUnknownTargetsAreNamed) {
  ProgramBuilder b;
  Value* x = b.input("x", {1, 4});
  Value* a = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "a");
  Value* c = b.call("aten.relu.default", {{"self", a}}, {1, 4}, "c");
  ExportedProgram program = b.finish({c});
  Annotations circle;
  circle.of(a->producer()).output_qspec = SharedQuantizationSpec{c};
  circle.of(c->producer()).output_qspec = SharedQuantizationSpec{a};
  circle.of(c->producer()).input_qspec_map = {{a, SharedQuantizationSpec{c}}};
  for (const Compat compat : {Compat::intaglio, Compat::torchao}) {
    try {
      resolve_specs(program.graph(), circle, compat);
      FAIL() << "a circle was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_NE(std::string(error.what()).find("'a'"), std::string::npos) << error.what();
    }
  }
  Annotations unknown;
  unknown.of(c->producer()).output_qspec = SharedQuantizationSpec{a};
  EXPECT_THROW(resolve_specs(program.graph(), unknown, Compat::intaglio), Error);
}

TEST(SpecMap, DerivedSpecsKnowTheirSources) {
  ProgramBuilder b;
  Value* weight = b.parameter("w", ramp({4, 4}, 0.1f, 0.1f));
  Value* bias = b.parameter("b", ramp({4}, 0.1f, 0.1f));
  Value* x = b.input("x", {1, 4});
  Value* y = b.call("aten.linear.default", {{"input", x}, {"weight", weight}, {"bias", bias}}, {1, 4}, "linear");
  ExportedProgram program = b.finish({y});
  Node* node = y->producer();
  DerivedQuantizationSpec derived;
  derived.derived_from = {QuantEdge{x, node}, QuantEdge{weight, node}};
  Annotations annotations;
  annotations.of(node).input_qspec_map = {{x, int8_spec()}, {weight, int8_spec(-127)}, {bias, derived}};
  const SpecMap map = resolve_specs(program.graph(), annotations, Compat::intaglio);
  const size_t group = map.find(bias, node)->group;
  EXPECT_EQ(map.groups[group].derived_from, (std::vector<size_t>{0, 1}));
}

}  // namespace
}  // namespace intaglio::pt2e
