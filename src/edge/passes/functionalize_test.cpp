#include "edge/passes/functionalize.h"

#include "decompose/programs_for_tests.h"

namespace intaglio {
namespace {

using test::TestProgram;
using Ints = std::vector<int64_t>;

TEST(Functionalize, InPlaceOpsBecomeFunctional) {
  TestProgram t;
  Value* x = t.input("x", {2, 3});
  Value* y = t.op("aten.add.Tensor", {x, x});
  Value* written = t.op("aten.relu_.default", {y});
  Value* again = t.op("aten.mul.Tensor", {y, written});  // both are the written value
  t.returns({again});
  functionalize(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "add relu mul");
  const Node& mul = *t.program.user_outputs()[0].get_if<Value*>()[0]->producer();
  EXPECT_EQ(mul.tensor("self"), mul.tensor("other"));
  EXPECT_TRUE(mul.tensor("self")->producer()->is("aten.relu.default"));
}

TEST(Functionalize, AWriteThroughASliceReachesTheBuffer) {
  TestProgram t;
  Value* buffer = t.buffer("cache", {1, 8, 4});
  Value* x = t.input("x", {1, 2, 4});
  Value* part = t.op("aten.slice.Tensor", {buffer, 1, 3, 5});
  Value* row = t.op("aten.select.int", {part, 1, 0});  // a view taken before the write
  t.op("aten.copy_.default", {part, x});
  Value* sum = t.op("aten.add.Tensor", {row, row});
  t.returns({sum, buffer});
  functionalize(t.program);
  t.program.graph().eliminate_dead_code();
  verify(t.program);
  test::expect_golden("functionalize_slice_write", t.program);
  ASSERT_EQ(t.program.output_specs.size(), 3u);
  EXPECT_EQ(t.program.output_specs[0].kind, OutputSpec::Kind::buffer_mutation);
  EXPECT_EQ(t.program.output_specs[0].target, "cache");
}

TEST(Functionalize, ViewsOfViewsAreScatteredBack) {
  TestProgram t;
  Value* x = t.input("x", {2, 3, 4});
  Value* base = t.op("aten.add.Tensor", {x, x});
  Value* turned = t.op("aten.permute.default", {base, Ints{0, 2, 1}});
  Value* flat = t.op("aten.select.int", {turned, 1, 2});
  t.op("aten.zero_.default", {flat});
  t.returns({base});
  functionalize(t.program);
  t.program.graph().eliminate_dead_code();
  verify(t.program);
  EXPECT_EQ(t.ops(), "add permute full select_scatter permute");
}

TEST(Functionalize, WrittenInputsAreMutationOutputs) {
  TestProgram t;
  Value* x = t.input("x", {4});
  t.op("aten.add_.Tensor", {x, 1});
  t.returns({x});
  functionalize(t.program);
  verify(t.program);
  EXPECT_EQ(t.program.output_specs[0].kind, OutputSpec::Kind::user_input_mutation);
  EXPECT_EQ(t.program.output_specs[0].target, "x");
  EXPECT_EQ(t.ops(), "add");
}

TEST(Functionalize, ArgumentsOfTheFunctionalFormMayHaveOtherNames) {
  TestProgram t;
  Value* x = t.input("x", {4});
  Value* y = t.op("aten.relu.default", {x});
  t.returns({t.op("aten.dropout_.default", {y, 0.5, false})});
  functionalize(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "relu dropout");
  EXPECT_NE(t.program.graph().node_list()[1]->tensor("input"), nullptr);
}

TEST(Functionalize, PowersNameBothOperands) {
  TestProgram t;
  Value* y = t.op("aten.relu.default", {t.input("x", {4})});
  t.returns({t.op("aten.pow_.Scalar", {y, 2})});
  functionalize(t.program);
  verify(t.program);
  const Node& power = *t.program.graph().node_list()[1];
  EXPECT_TRUE(power.is("aten.pow.Tensor_Scalar"));
  EXPECT_EQ(power.integer("exponent"), 2);
}

TEST(Functionalize, RefusesWritesThroughExpandedViews) {
  TestProgram t;
  Value* x = t.input("x", {1, 4});
  Value* base = t.op("aten.add.Tensor", {x, x});
  Value* wide = t.op("aten.expand.default", {base, Ints{3, 4}});
  t.op("aten.add_.Tensor", {wide, 1});
  t.returns({base});
  const std::string message = test::refusal_of(ErrorKind::unsupported, [&] { functionalize(t.program); });
  EXPECT_NE(message.find("aten.expand.default"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
