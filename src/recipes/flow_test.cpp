#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/recipes.h>

#include "testing/program_builder.h"

namespace intaglio::recipes {
namespace {

using test::ProgramBuilder;

// Quantizes the result of every op of one name.
class OneOpQuantizer : public Quantizer {
 public:
  explicit OneOpQuantizer(std::string op) : op_(std::move(op)) {}
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    QuantizationSpec spec;
    spec.quant_min = -128;
    spec.quant_max = 127;
    spec.observer = min_max_observer();
    for (const Node* node : program.graph().node_list())
      if (node->is(op_)) annotations.of(node) = {.output_qspec = spec, .annotated = true, .rule = "test"};
  }

 private:
  std::string op_;
};

ExportedProgram relu() {
  test::ProgramBuilder b;
  Value* x = b.input("x", {2});
  ExportedProgram program = b.finish({b.call("aten.relu.default", {{"self", x}}, {2}, "y")});
  program.source = "model.pt2";
  return program;
}

Recipe quantizing(const char* op) {
  Recipe recipe;
  recipe.info.name = "test";
  recipe.steps.emplace_back(Pt2eStep{std::make_shared<OneOpQuantizer>(op)});
  return recipe;
}

void one_sample(PreparedProgram& prepared) { prepared({Tensor::of<float>({-1, 3}, {2})}); }

TEST(Flow, RunsTheStepsInTheirOrder) {
  Recipe recipe = quantizing("aten.exp.default");
  const auto to_exp = [](ExportedProgram& program) {
    Node* node = program.graph().node_list().at(0);
    program.graph().set_op(*node, Op::get("aten.exp.default"));
    return std::string("relu is exp");
  };
  recipe.steps.insert(recipe.steps.begin(), TransformStep{"relu to exp", to_exp});
  std::vector<std::string> steps;
  FlowOptions options = {.calibrate = one_sample};
  options.observe = [&](std::string_view step) { steps.emplace_back(step); };
  const FlowResult result = run_recipe(relu(), recipe, options);
  EXPECT_EQ(steps, (std::vector<std::string>{"relu to exp", "prepare", "calibrate", "convert"}));
  EXPECT_EQ(result.calibration_samples, 1u);
  EXPECT_EQ(result.quantized_tensors, 1u);
  EXPECT_EQ(result.notes, std::vector<std::string>{"relu is exp"});
}

TEST(Flow, NothingQuantizedIsAWarning) {
  std::vector<std::string> warnings;
  FlowOptions options = {.warn = [&](const std::string& warning) { warnings.push_back(warning); }};
  run_recipe(relu(), quantizing("aten.exp.default"), options);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(warnings[0].starts_with("the quantizer annotated nothing, and the program stays in float: ")) << warnings[0];
}

TEST(Flow, StrictMakesItAnErrorOfOneLine) {
  FlowOptions options = {.strict = true};
  try {
    run_recipe(relu(), quantizing("aten.exp.default"), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(std::string_view(error.what()).find("the quantizer annotated nothing"), std::string_view::npos);
  }
}

TEST(Flow, WhatCannotBeRunIsTheProgramsFault) {
  ProgramBuilder b;
  Value* x = b.input("x", {2});
  ExportedProgram program =
      b.finish({b.call("aten.relu.default", {{"self", b.raw("mine.op.default", {{"x", x}}, {{2}}).output(0)}}, {2}, "y")});
  program.source = "model.pt2";
  PreparedProgram prepared = prepare_pt2e(std::move(program), OneOpQuantizer("aten.relu.default"));
  const std::filesystem::path file = std::filesystem::path(::testing::TempDir()) / "flow_sample.npy";
  write_npy(file, Tensor::of<float>({1, 2}, {2}));
  const SampleSource samples(file, input_slots(prepared.program()));
  try {
    calibrate(prepared, samples);
    FAIL();
  } catch (const Error& error) { EXPECT_TRUE(std::string_view(error.what()).starts_with("model.pt2: mine.op.default")) << error.what(); }
}

TEST(Flow, WithoutSamplesOnlyExplanationsGoOn) {
  EXPECT_THROW(run_recipe(relu(), quantizing("aten.relu.default")), Error);
  const FlowResult result = run_recipe(relu(), quantizing("aten.relu.default"), {.allow_uncalibrated = true});
  EXPECT_EQ(result.quantized_tensors, 1u);
}

}  // namespace
}  // namespace intaglio::recipes
