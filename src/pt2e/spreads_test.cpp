#include "pt2e/spreads.h"

#include <functional>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "pt2e/networks_for_tests.h"
#include "pt2e/prepared.h"
#include "pt2e/specs_for_tests.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

void expect_parts(const std::string& text, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

// The result of every node, and with `shared` what it reads in the same range.
struct ResultQuantizer : Quantizer {
  bool shared = false;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    for (Node* node : program.graph().node_list()) {
      QuantizationAnnotation& annotation = annotations.of(node);
      annotation.output_qspec = narrow_steps_spec();
      annotation.annotated = true;
      if (!shared) continue;
      for (Value* input : node->inputs()) annotation.input_qspec_map.emplace_back(input, SharedQuantizationSpec{node->output()});
    }
  }
};

std::vector<std::string> warnings_of(ExportedProgram program, const std::vector<Tensor>& sample, bool shared = false) {
  std::vector<std::string> warnings;
  ResultQuantizer quantizer;
  quantizer.shared = shared;
  PreparedProgram prepared =
      prepare_pt2e(std::move(program), quantizer, {.warn = [&](const std::string& text) { warnings.push_back(text); }});
  prepared(sample);
  convert_pt2e(std::move(prepared));
  return warnings;
}

const Sizes vector_sizes = {17};
Tensor near() { return ramp(vector_sizes, -1.0f, 0.125f); }    // spans 2
Tensor far() { return ramp(vector_sizes, -1600.0f, 100.0f); }  // one step is 6.3

ExportedProgram joined(const std::string& op, const std::string& layer) {
  ProgramBuilder b;
  Value* x = b.input("x", vector_sizes);
  Value* y = b.input("y", vector_sizes);
  const bool list = op == "aten.cat.default";
  std::vector<NamedArgument> arguments = {{"self", x}, {"other", y}};
  if (list) arguments = {{"tensors", std::vector<Value*>{x, y}}, {"dim", 0}};
  return b.finish({b.call(op, std::move(arguments), list ? Sizes{34} : vector_sizes, "joined", {{layer, "Join"}})});
}

TEST(Spreads, AnOperandBelowOneStepOfTheResultIsNamed) {
  for (const char* op : {"aten.add.Tensor", "aten.sub.Tensor", "aten.minimum.default", "aten.cat.default"}) {
    const auto warnings = warnings_of(joined(op, "inner.join"), {near(), far()});
    ASSERT_EQ(warnings.size(), 1u) << op;
    expect_parts(warnings[0], {op, "inner.join", "'x' spans 2", "\"config\": null"});
  }
}

TEST(Spreads, AlikeOperandsAreNotNamed) {
  EXPECT_TRUE(warnings_of(joined("aten.add.Tensor", "join"), {near(), near()}).empty());
  EXPECT_TRUE(warnings_of(joined("aten.add.Tensor", "join"), {far(), far()}).empty());
}

// What is multiplied is in another unit than its product.
TEST(Spreads, FactorsAreNotHeldAgainstTheProduct) { EXPECT_TRUE(warnings_of(joined("aten.mul.Tensor", "join"), {near(), far()}).empty()); }

TEST(Spreads, MaskedValuesAreSeenBehindViewsAndClips) {
  ProgramBuilder b;
  Value* x = b.input("x", vector_sizes);
  Value* mask = b.buffer("mask", ramp(vector_sizes, 0.0f, 1.0f));
  Value* off = b.call("aten.gt.Scalar", {{"self", mask}, {"other", 12.0}}, {vector_sizes, DType::boolean}, "off");
  Value* filled =
      b.call("aten.masked_fill.Scalar", {{"self", x}, {"mask", off}, {"value", -1e4}}, vector_sizes, "filled", {{"mask", "Mask"}});
  Value* clamped =
      b.call("aten.clamp.default", {{"self", filled}, {"min", -9000.0}, {"max", 9000.0}}, vector_sizes, "clamped", {{"mask", "Mask"}});

  // Only the clip is quantized.
  struct ClampQuantizer : Quantizer {
    void annotate(const ExportedProgram& program, Annotations& annotations) const override {
      QuantizationAnnotation& annotation = annotations.of(program.graph().find_value("clamped")->producer());
      annotation.output_qspec = narrow_steps_spec();
    }
  };
  std::vector<std::string> warnings;
  PreparedProgram prepared =
      prepare_pt2e(b.finish({clamped}), ClampQuantizer(), {.warn = [&](const std::string& text) { warnings.push_back(text); }});
  prepared({near()});
  convert_pt2e(std::move(prepared));
  ASSERT_EQ(warnings.size(), 1u);
  expect_parts(warnings[0], {"aten.masked_fill.Scalar", "'x' spans 2", "[-9"});
}

TEST(Spreads, ATensorInTheRangeOfAnotherIsNamed) {
  ProgramBuilder b;
  Value* x = b.input("x", vector_sizes);
  Value* scaled = b.call("aten.mul.Tensor", {{"self", x}, {"other", b.buffer("s", far())}}, vector_sizes, "scaled", {{"m", "Mul"}});
  const auto warnings = warnings_of(b.finish({scaled}), {near()}, true);
  ASSERT_EQ(warnings.size(), 1u);
  expect_parts(warnings[0], {"tensor 'x'", "spans 2"});
}

// Two sums of one layer: one line.
TEST(Spreads, EachLayerIsNamedOnce) {
  ProgramBuilder b;
  Value* x = b.input("x", vector_sizes);
  Value* y = b.input("y", vector_sizes);
  Value* first = b.call("aten.add.Tensor", {{"self", x}, {"other", y}}, vector_sizes, "first", {{"a", "A"}});
  Value* z = b.input("z", vector_sizes);
  Value* second = b.call("aten.add.Tensor", {{"self", first}, {"other", z}}, vector_sizes, "second", {{"a", "A"}});
  Value* third = b.call("aten.add.Tensor", {{"self", second}, {"other", b.buffer("b.w", near())}}, vector_sizes, "third", {{"b", "B"}});
  const auto warnings = warnings_of(b.finish({third}), {near(), far(), near()});
  ASSERT_EQ(warnings.size(), 2u);
  expect_parts(warnings[0], {"'a'", "'x'"});
  expect_parts(warnings[1], {"'b'", "'b.w'"});
}

TEST(Spreads, WhatIsNotFiniteDoesNotCount) {
  Tensor tensor = near();
  tensor.mutable_data<float>()[3] = -std::numeric_limits<float>::infinity();
  tensor.mutable_data<float>()[4] = std::numeric_limits<float>::quiet_NaN();
  Spread spread;
  EXPECT_EQ(spread.width(), 0);
  spread.extend(tensor);
  EXPECT_EQ(spread.min, -1);
  EXPECT_EQ(spread.max, 1);
  spread.extend(far());
  EXPECT_EQ(spread.width(), 1601);
}

}  // namespace
}  // namespace intaglio::pt2e
