#include <gtest/gtest.h>

#include <intaglio/pattern_quantizer.h>

#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

TEST(Glob, StarsAndQuestionMarks) {
  EXPECT_TRUE(glob_matches("features.*.conv", "features.3.block.conv"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbYbZc"));
  EXPECT_FALSE(glob_matches("a*b*c", "aXbYbZ"));
  EXPECT_TRUE(glob_matches("layer?", "layer3"));
  EXPECT_FALSE(glob_matches("layer?", "layer"));
  EXPECT_FALSE(glob_matches("", "x"));
}

TEST(NodeSelector, EveryGivenPartMustMatch) {
  test::ProgramBuilder b;
  const Node& node = *b.call("aten.relu_.default", {{"self", b.input("x", {1})}}, {1}, "relu",
                             {{"L['self'].block", "my.Block"}, {"L['self'].block.act", "torch.nn.modules.activation.ReLU"}})
                          ->producer();
  const auto matches = [&](const NodeSelector& selector) { return selector.matches(node); };
  EXPECT_TRUE(matches({}));
  EXPECT_TRUE(matches({.module_glob = "block.*", .module_type = "ReLU", .op = "relu_"}));
  EXPECT_TRUE(matches({.module_type = "torch.nn.modules.activation.ReLU", .op = "aten.relu_.default"}));
  EXPECT_TRUE(matches({.module_name = "block", .module_type = "Block"}));
  EXPECT_FALSE(matches({.module_name = "block.*"}));
  EXPECT_FALSE(matches({.module_glob = "block.*", .module_type = "Conv2d"}));
  EXPECT_TRUE(matches({.module_type = "torch.*ReLU"}));
  EXPECT_TRUE(matches({.module_type = "Re*"}));
  EXPECT_FALSE(matches({.module_type = "Re?"}));
  EXPECT_TRUE(matches({.op = "relu*"}));
  EXPECT_TRUE(matches({.op = "aten.*_"}));
  EXPECT_FALSE(matches({.op = "*elu6*"}));
  EXPECT_TRUE(matches({.op = "aten.relu_"}));
  EXPECT_FALSE(matches({.op = "aten.relu.default"}));
  EXPECT_TRUE(matches({.op_family = "aten.relu.default"}));
  EXPECT_TRUE(matches({.op_family = "aten.relu"}));
  EXPECT_FALSE(matches({.op_family = "aten.relu6"}));
}

}  // namespace
}  // namespace intaglio::pt2e
