#include "pt2e/steps.h"

#include <gtest/gtest.h>

#include <intaglio/pattern_quantizer.h>

#include "pt2e/networks_for_tests.h"

namespace intaglio::pt2e {
namespace {

using test::residual_network;

// Annotates the nodes of one op, and asks as it is told.
class AskingQuantizer : public Quantizer {
 public:
  AskingQuantizer(std::string op, NodeSelector asked, bool quantize) : op_(std::move(op)), asked_(std::move(asked)), quantize_(quantize) {}

  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    QuantizationSpec spec;
    spec.quant_min = -128;
    spec.quant_max = 127;
    spec.observer = min_max_observer();
    for (const Node* node : program.graph().node_list()) {
      if (node->is(op_)) annotations.of(node) = {.output_qspec = spec, .annotated = true, .rule = "test"};
      else annotations.refuse(node, "the test leaves it");
    }
    annotations.ask({to_string(asked_), matching_nodes(program.graph(), asked_), quantize_});
  }

 private:
  std::string op_;
  NodeSelector asked_;
  bool quantize_;
};

std::vector<Warning> warnings_of(const std::string& op, NodeSelector asked, bool quantize = true) {
  std::vector<Warning> warnings;
  prepare_pt2e(residual_network(), AskingQuantizer(op, std::move(asked), quantize),
               {.warn = [&](const Warning& warning) { warnings.push_back(warning); }});
  return warnings;
}

TEST(Requests, WhatIsAnnotatedIsNoWarning) {
  EXPECT_TRUE(warnings_of("aten.conv2d.default", {.module_name = "c1"}).empty());
  EXPECT_TRUE(warnings_of("aten.conv2d.default", {.module_glob = "c?"}).empty());
  EXPECT_TRUE(warnings_of("aten.conv2d.default", {.module_name = "fc"}, false).empty());
}

TEST(Requests, ALayerLeftInFloatIsNamedWithShareAndReason) {
  const std::vector<Warning> warnings = warnings_of("aten.conv2d.default", {.module_name = "fc"});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(warnings[0].is_breach);
  EXPECT_EQ(warnings[0].text.find("module 'fc' is to be quantized, but aten.linear.default 'linear' in layer 'fc' stays in float (0."), 0u)
      << warnings[0].text;
  EXPECT_TRUE(warnings[0].text.ends_with("% of the work): the test leaves it")) << warnings[0].text;
}

TEST(Requests, BesideAnnotatedLayersOnlyThoseWithWorkAreNamed) {
  const std::vector<Warning> warnings = warnings_of("aten.linear.default", {.module_glob = "*"});
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].text.find("in layer 'c"), std::string::npos) << warnings[0].text;
  EXPECT_NE(warnings[0].text.find(" and 1 more stays in float"), std::string::npos) << warnings[0].text;
}

TEST(Requests, ANameThatNothingHas) {
  const std::vector<Warning> quantize = warnings_of("aten.conv2d.default", {.module_name = "cf"});
  const std::vector<Warning> leave = warnings_of("aten.conv2d.default", {.op_family = "aten.gelu"}, false);
  ASSERT_EQ(quantize.size(), 1u);
  ASSERT_EQ(leave.size(), 1u);
  EXPECT_TRUE(quantize[0].is_breach);
  EXPECT_FALSE(leave[0].is_breach);
  EXPECT_EQ(quantize[0].text, "module 'cf' is to be quantized, but nothing in the program has that name; `inspect` lists its layers");
  EXPECT_EQ(leave[0].text,
            "every operator 'aten.gelu' is to stay in float, but nothing in the program has that name; `inspect` lists its layers");
}

TEST(Requests, NothingAnnotatedSaysWhy) {
  const std::vector<Warning> warnings = warnings_of("aten.gelu.default", {});
  ASSERT_EQ(warnings.size(), 2u);  // the selector means everything
  EXPECT_NE(warnings[1].text.find("most of the work is aten.conv2d.default 'conv2d"), std::string::npos) << warnings[1].text;
}

}  // namespace
}  // namespace intaglio::pt2e
