// Ops that the interpreter computes from what they are made of.
#include "interpreter/run_op_for_tests.h"

namespace intaglio {
namespace {

using namespace test;

TEST(Expansion, AnOperatorWithoutKernelIsComputedFromOthers) {
  ProgramBuilder p;
  Value *x = p.input({3}), *y = p.input({3});
  p.returns({p.call("aten.hypot.default", {{"self", x}, {"other", y}}, {3})});
  Interpreter interpreter(p.program, {.threads = 1});
  expect_values(interpreter.run({Tensor::of<float>({3, 5, 8}, {3}), Tensor::of<float>({4, 12, 15}, {3})})[0], {5, 13, 17});
  // The next run computes anew.
  expect_values(interpreter.run({Tensor::of<float>({0, 6, 9}, {3}), Tensor::of<float>({2, 8, 12}, {3})})[0], {2, 10, 15});
}

TEST(Expansion, SizesAreThoseOfTheCall) {
  const SymInt s(parse_sym_expr("s0"), "s0", 3);
  ProgramBuilder p;
  Value* x = p.input({s, 2});
  p.returns({p.call("aten.pdist.default", {{"self", x}}, {s})});
  Interpreter interpreter(p.program, {.threads = 1});
  expect_values(interpreter.run({Tensor::of<float>({0, 0, 3, 4, 3, 0}, {3, 2})})[0], {5, 3, 4});
  expect_values(interpreter.run({Tensor::of<float>({0, 0, 6, 8}, {2, 2})})[0], {10});
}

TEST(Expansion, ResultsNobodyReadsAreLeftOut) {
  ProgramBuilder p;
  Value* x = p.input({2, 3});
  const Node& node = p.raw("aten.cummax.default", {{"self", x}, {"dim", 1}}, {{2, 3}, {{2, 3}, DType::int64}});
  p.returns({node.output(0)});
  expect_values(Interpreter(p.program, {.threads = 1}).run({Tensor::of<float>({1, 3, 2, -5, -7, 0}, {2, 3})})[0], {1, 3, 3, -5, -5, 0});
  p.returns({node.output(1)});
  Interpreter interpreter(p.program, {.threads = 1});
  EXPECT_NE(message_of([&] { interpreter.run({noise({2, 3})}); }).find("cannot be computed by any kernel"), std::string::npos);
}

// What such a view shares with its operand would be lost.
TEST(Expansion, ViewsBesideWritesAreRefused) {
  ProgramBuilder p;
  Value* x = p.input({2, 2});
  Value* copy = p.call("aten.clone.default", {{"self", x}}, {2, 2});
  Value* view = p.call("aten._neg_view.default", {{"self", copy}}, {2, 2});
  p.returns({view});
  expect_values(Interpreter(p.program, {.threads = 1}).run({Tensor::of<float>({1, 2, 3, 4}, {2, 2})})[0], {-1, -2, -3, -4});
  p.returns({view, p.call("aten.relu_.default", {{"self", copy}}, {2, 2})});
  Interpreter interpreter(p.program, {.threads = 1});
  EXPECT_NE(message_of([&] { interpreter.run({noise({2, 2})}); }).find("writes in place"), std::string::npos);
}

// What constants decide is folded, whatever computes it.
TEST(Expansion, SingleNodesAreEvaluated) {
  const auto arguments = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"self", v[0]}, {"other", v[1]}}; };
  expect_values(run_op("aten.hypot.default", {Tensor::of<float>({3, 5}, {2}), Tensor::of<float>({4, 12}, {2})}, arguments)[0], {5, 13});
  const Tensor whole = Tensor::of<int64_t>({1, 2}, {2});  // no decomposition of this form
  EXPECT_NE(message_of([&] { run_op("aten.isclose.default", {whole, whole}, arguments); }).find("no kernel for aten.isclose.default"),
            std::string::npos);
}

TEST(Expansion, ThePartThatHasNoKernelIsNamed) {
  ProgramBuilder p;
  p.returns({p.call("aten.lgamma.default", {{"self", p.input({2})}}, {2})});
  EXPECT_NE(message_of([&] { Interpreter interpreter(p.program); }).find("aten.lgamma.default"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
