#include "interpreter/constant_values.h"

#include "interpreter/run_op_for_tests.h"

namespace intaglio {
namespace {

using namespace test;

struct Constants : ::testing::Test, ProgramBuilder {
  Value* w = parameter("w", Tensor::of<float>({1, 2, 3, 4, 5, 6}, {2, 3}));

  Value* op(const char* name, std::vector<NamedArgument> arguments, Meta result = {2, 3}) {
    return call(name, std::move(arguments), std::move(result));
  }
};

TEST_F(Constants, ValuesOfChainsAreRememberedAndInputsAreUnknown) {
  Value* x = input("x", {2, 3});
  // Each doubles and adds what it doubles: asked anew, the last would cost 3^40 steps.
  Value* value = w;
  for (int i = 0; i < 40; ++i)
    value = op("aten.sub.Tensor", {{"self", op("aten.mul.Scalar", {{"self", value}, {"other", 2.0}})}, {"other", value}});
  Value* with_input = op("aten.add.Tensor", {{"self", value}, {"other", x}});
  ConstantValues constants(program);
  ASSERT_TRUE(constants.is_constant(value));
  expect_values(*constants.find(value), {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(constants.find(value), constants.find(value));
  EXPECT_FALSE(constants.is_constant(x));
  EXPECT_EQ(constants.find(with_input), nullptr);
}

TEST_F(Constants, ViewsShareMemory) {
  Value* turned = op("aten.permute_copy.default", {{"self", w}, {"dims", std::vector<int64_t>{1, 0}}}, {3, 2});
  Value* negated = op("aten.neg.default", {{"self", turned}}, {3, 2});
  ConstantValues constants(program);
  expect_values(*constants.find(turned), {1, 4, 2, 5, 3, 6});
  EXPECT_EQ(constants.find(turned)->storage(), program.constant(w)->storage());
  // A dimension of size 1 has the stride of a contiguous tensor, however the view came about.
  Value* row = op("aten.narrow.default", {{"self", w}, {"dim", 0}, {"start", 1}, {"length", 1}}, {1, 3});
  Value* expanded = op("aten.expand.default", {{"self", row}, {"size", std::vector<int64_t>{1, 1, 3}}}, {1, 1, 3});
  EXPECT_EQ(ConstantValues(program).find(expanded)->strides(), (Sizes{3, 3, 1}));
  expect_values(*constants.find(negated), {-1, -4, -2, -5, -3, -6});
  expect_values(*program.constant(w), {1, 2, 3, 4, 5, 6});
}

TEST_F(Constants, StateRandomnessAndFactoriesAreNone) {
  Value* counter = program.add_buffer("counter", Tensor::of<float>({0}, {1}));
  Value* next = op("aten.add.Scalar", {{"self", counter}, {"other", 1.0}}, {1});
  program.graph().set_outputs({next});
  program.output_specs = {{OutputSpec::Kind::buffer_mutation, "counter"}};
  Value* noise = op("aten.rand_like.default", {{"self", w}});
  Value* ones = op("aten.ones.default", {{"size", std::vector<int64_t>{2, 3}}});
  const auto dropout = [&](bool train) { return op("aten.dropout.default", {{"input", w}, {"p", 0.5}, {"train", train}}); };
  Value *training = dropout(true), *in_use = dropout(false);
  ConstantValues constants(program);
  for (const Value* value : {counter, next, noise, ones, training}) EXPECT_FALSE(constants.is_constant(value)) << value->name();
  EXPECT_TRUE(constants.is_constant(in_use));
}

TEST_F(Constants, CreatedTensorsAreConstantsWhereThatIsAskedForAndNothingWritesIntoThem) {
  Value* ones = op("aten.ones.default", {{"size", std::vector<int64_t>{2, 3}}});
  Value* sum = op("aten.add.Tensor", {{"self", ones}, {"other", w}});
  Value* noise = op("aten.rand.default", {{"size", std::vector<int64_t>{2, 3}}});
  Value* filled = op("aten.zeros.default", {{"size", std::vector<int64_t>{2, 3}}});
  Value* row = op("aten.select.int", {{"self", filled}, {"dim", 0}, {"index", 1}}, {3});
  Value* copied = op("aten.clone.default", {{"self", w}});
  op("aten.fill_.Scalar", {{"self", row}, {"value", 2.0}}, {3});
  op("aten.relu_.default", {{"self", copied}});
  Value* after = op("aten.neg.default", {{"self", filled}});
  ConstantValues constants(program, is_pure, Creations::constant);
  EXPECT_TRUE(constants.is_constant(ones));
  expect_values(*constants.find(sum), {2, 3, 4, 5, 6, 7});
  for (const Value* value : {noise, filled, row, copied, after}) EXPECT_FALSE(constants.is_constant(value)) << value->name();
}

TEST_F(Constants, OnlyTheOpsThatAreAskedFor) {
  Value* negated = op("aten.neg.default", {{"self", w}});
  Value* raised = op("aten.exp.default", {{"self", negated}});
  ConstantValues constants(program, [](const Node& node) { return node.is("aten.neg.default"); });
  expect_values(*constants.find(negated), {-1, -2, -3, -4, -5, -6});
  EXPECT_EQ(constants.find(raised), nullptr);
}

}  // namespace
}  // namespace intaglio
