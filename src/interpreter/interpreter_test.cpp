// Whole graphs: fusion, hooks, in-place ops, buffers, input checks.
#include "interpreter/run_op_for_tests.h"

#include <map>

namespace intaglio {
namespace {

using namespace test;

// conv -> batch norm -> relu_ -> mean, with a user input 1x3x6x6.
struct ConvNet : ProgramBuilder {
  Value *x, *conv, *norm, *relu, *mean;
  ConvNet() {
    Value* w = parameter("conv.weight", noise({4, 3, 3, 3}, 2));
    Value* b = parameter("conv.bias", noise({4}, 3));
    Value* gamma = parameter("bn.weight", Tensor::of<float>({1, 2, 0.5f, -1}, {4}));
    Value* beta = parameter("bn.bias", noise({4}, 4));
    Value* running_mean = buffer("bn.running_mean", noise({4}, 5));
    Value* running_var = buffer("bn.running_var", Tensor::of<float>({1, 2, 0.25f, 4}, {4}));
    x = input("x", {1, 3, 6, 6});
    conv = call("aten.conv2d.default", {{"input", x}, {"weight", w}, {"bias", b}, {"padding", std::vector<int64_t>{1, 1}}}, {1, 4, 6, 6});
    norm = call("aten.batch_norm.default",
                {{"input", conv},
                 {"weight", gamma},
                 {"bias", beta},
                 {"running_mean", running_mean},
                 {"running_var", running_var},
                 {"training", false},
                 {"momentum", 0.1},
                 {"eps", 1e-5},
                 {"cudnn_enabled", true}},
                {1, 4, 6, 6});
    relu = call("aten.relu_.default", {{"self", norm}}, {1, 4, 6, 6});
    mean = call("aten.mean.dim", {{"self", relu}, {"dim", std::vector<int64_t>{2, 3}}}, {1, 4});
    returns({mean});
  }
};

TEST(Interpreter, FusedAndWatchedRunsAgree) {
  ConvNet net;
  Interpreter interpreter(net.program, {.threads = 1});
  const Tensor x = noise({1, 3, 6, 6});
  const Tensor fused = interpreter.run({x})[0];
  std::map<const Value*, Tensor> seen;
  const Tensor every = interpreter.run({x}, [&](const Value* value, const Tensor& tensor) {
    seen[value] = tensor.clone();
    return std::nullopt;
  })[0];
  EXPECT_EQ(fused.sizes(), (Sizes{1, 4}));
  expect_values(fused, values(every), 1e-6);
  EXPECT_TRUE(seen.contains(net.x) && seen.contains(net.conv) && seen.contains(net.norm) && seen.contains(net.relu) &&
              seen.contains(net.mean));
  // What the hook was shown is right: batch norm of the convolution's result, element by element.
  const auto conv = values(seen[net.conv]), norm = values(seen[net.norm]);
  const double gamma[] = {1, 2, 0.5, -1}, variance[] = {1, 2, 0.25, 4};
  const auto beta = values(noise({4}, 4)), running_mean = values(noise({4}, 5));
  for (size_t i = 0; i < conv.size(); ++i) {
    const size_t c = i / 36;
    EXPECT_NEAR(norm[i], (conv[i] - running_mean[c]) / std::sqrt(variance[c] + 1e-5) * gamma[c] + beta[c], 1e-5);
  }
}

TEST(Interpreter, WatchedValuesOnly) {
  ConvNet net;
  Interpreter interpreter(net.program, {.threads = 1});
  const Tensor x = noise({1, 3, 6, 6});
  std::vector<const Value*> seen;
  const std::vector<const Value*> watched = {net.x, net.relu};
  const Tensor result = interpreter.run(
      {x},
      [&](const Value* value, const Tensor&) {
        seen.push_back(value);
        return std::nullopt;
      },
      &watched)[0];
  EXPECT_EQ(seen, watched);
  EXPECT_TRUE(bit_equal(result, interpreter.run({x})[0]));
}

TEST(Interpreter, LaterNodesSeeWhatTheHookReturns) {
  ConvNet net;
  Interpreter interpreter(net.program, {.threads = 1});
  const Tensor x = noise({1, 3, 6, 6});
  const std::vector<const Value*> watched = {net.relu};
  const Tensor twos = Tensor::of<float>(std::vector<float>(4 * 36, 2.0f), {1, 4, 6, 6});
  const Tensor before = interpreter.run({x})[0];
  const ValueHook replace = [&](const Value*, const Tensor&) { return std::optional(twos.clone()); };
  expect_values(interpreter.run({x}, replace, &watched)[0], {2, 2, 2, 2});
  EXPECT_TRUE(bit_equal(before, interpreter.run({x})[0]));
  const ValueHook other = [&](const Value*, const Tensor&) { return std::optional(Tensor::zeros(DType::float32, {1})); };
  EXPECT_NE(message_of([&] { interpreter.run({x}, other, &watched); }).find("other sizes"), std::string::npos);
}

TEST(Interpreter, SameBitsForAnyNumberOfThreads) {
  ConvNet net;
  const Tensor x = noise({1, 3, 6, 6});
  EXPECT_TRUE(bit_equal(Interpreter(net.program, {.threads = 1}).run({x})[0], Interpreter(net.program, {.threads = 3}).run({x})[0]));
}

TEST(Interpreter, ChecksItsInputs) {
  ConvNet net;
  Interpreter interpreter(net.program);
  EXPECT_NE(message_of([&] { interpreter.run({}); }).find("takes 1 inputs, 0 were given"), std::string::npos);
  EXPECT_NE(
      message_of([&] { interpreter.run({noise({1, 3, 6, 7})}); }).find("input 'x' has sizes [1, 3, 6, 7], the program takes [1, 3, 6, 6]"),
      std::string::npos);
  EXPECT_NE(message_of([&] { interpreter.run({Tensor::zeros(DType::int64, {1, 3, 6, 6})}); }).find("input 'x' is int64"),
            std::string::npos);
}

// y = x[1:] after x.view(4)[0] += 1 ... : writes go through views into a buffer that lasts.
TEST(Interpreter, WritesThroughViewsAndKeepsBuffers) {
  ProgramBuilder b;
  const Tensor initial = Tensor::of<float>({1, 2, 3, 4}, {2, 2});
  Value* buffer = b.buffer("cache", initial);
  Value* column = b.call("aten.select.int", {{"self", buffer}, {"dim", 1}, {"index", 0}}, {2});
  b.call("aten.add_.Tensor", {{"self", column}, {"other", b.input("x", {2})}}, {2});
  Value* flat = b.call("aten.view.default", {{"self", buffer}, {"size", std::vector<int64_t>{4}}}, {4});
  b.output(flat);
  Interpreter interpreter(b.program);
  const Tensor ten = Tensor::of<float>({10, 20}, {2});
  const Tensor first = interpreter.run({ten})[0];
  expect_values(first, {11, 2, 23, 4});
  expect_values(interpreter.run({ten})[0], {21, 2, 43, 4});
  expect_values(first, {11, 2, 23, 4});  // what the caller holds does not change
  expect_values(initial, {1, 2, 3, 4});  // nor does the program's tensor
}

TEST(Interpreter, BufferMutationOutputsPersist) {
  ProgramBuilder b;
  Value* count = b.buffer("count", Tensor::scalar(int64_t{0}));
  Value* next = b.call("aten.add.Tensor", {{"self", count}, {"other", 1}}, {{}, DType::int64});
  b.mutation("count", next);
  b.output(next);
  Interpreter interpreter(b.program);
  expect_values(interpreter.run({})[0], {1});
  expect_values(interpreter.run({})[0], {2});
}

TEST(Interpreter, UserInputsAreNotWritten) {
  ProgramBuilder b;
  b.output(b.call("aten.relu_.default", {{"self", b.input("x", {3})}}, {3}));
  const Tensor input = Tensor::of<float>({-1, 0, 2}, {3});
  expect_values(Interpreter(b.program).run({input})[0], {0, 0, 2});
  expect_values(input, {-1, 0, 2});
}

TEST(Interpreter, SymbolicSizes) {
  ProgramBuilder b;
  const SymInt s(parse_sym_expr("s0"), "s0", 4);
  Value* x = b.input("x", {s, 2});
  Graph& graph = b.program.graph();
  b.program.range_constraints["s0"] = {2, 8};
  Value* size =
      graph.insert_before(nullptr, Op::get("aten.sym_size.int"), {{"self", x}, {"dim", 0}}, {{.name = "n", .kind = ValueKind::sym_int}})
          .output();
  Value* doubled =
      graph.insert_before(nullptr, Op::get("_operator.mul"), {{"", size}, {"", 2}}, {{.name = "m", .kind = ValueKind::sym_int}}).output();
  Value* flat = b.call("aten.view.default", {{"self", x}, {"size", std::vector<SymArg>{doubled}}}, {s * SymInt(2)});
  b.output(flat);
  Interpreter interpreter(b.program);
  EXPECT_EQ(interpreter.run({noise({3, 2})})[0].sizes(), (Sizes{6}));
  EXPECT_EQ(interpreter.run({noise({8, 2})})[0].sizes(), (Sizes{16}));
  EXPECT_NE(message_of([&] { interpreter.run({noise({9, 2})}); }).find("has size 9 in dimension 0, the program takes 2 to 8"),
            std::string::npos);
}

TEST(Interpreter, UnknownOpsAreNamed) {
  ProgramBuilder b;
  b.output(b.call("mylib.frobnicate.default", {{"self", b.input("x", {3})}}, {3}));
  EXPECT_NE(message_of([&] { Interpreter interpreter(b.program); }).find("mylib.frobnicate.default"), std::string::npos);
}

TEST(Interpreter, WhatFollowsAValueRunsWithAnother) {
  ProgramBuilder p;
  Value *x = p.input({2, 3}), *w = p.parameter("w", noise({3, 3}, 2));
  Value *product = p("aten.linear.default", x, w), *relu = p("aten.relu.default", product);
  Value *sum = p("aten.add.Tensor", relu, x), *doubled = p("aten.mul.Tensor", x, 2.0);
  p.returns({sum, doubled});
  Interpreter interpreter(p.program, {.threads = 1});
  const Tensor in = noise({2, 3}), other = Tensor::of<float>({1, -2, 3, -4, 5, -6}, {2, 3});
  const std::vector<Tensor> whole = interpreter.run({in});
  const auto plus_in = [&](std::vector<double> sums) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += values(in)[i];
    return sums;
  };
  const auto known = [&](const Value* value) { return value == x ? in : whole[1]; };
  const auto with = [&](const Value* value) { return interpreter.run_from({{value, other}}, known); };
  EXPECT_EQ(interpreter.read_beside({relu}), (std::vector<const Value*>{x, doubled}));
  expect_values(with(relu)[0], plus_in({1, -2, 3, -4, 5, -6}), 1e-6);
  expect_values(with(product)[0], plus_in({1, 0, 3, 0, 5, 0}), 1e-6);  // fused in whole runs
  expect_values(with(sum)[0], values(other));
  expect_values(with(relu)[1], values(whole[1]));
  EXPECT_EQ(values(with(x)[0]), values(interpreter.run({other})[0]));
  EXPECT_EQ(values(interpreter.run({in})[0]), values(whole[0]));
  EXPECT_NE(message_of([] { Interpreter(ConvNet().program, {.threads = 1}).read_beside({}); }).find("runs as a whole"), std::string::npos);
}

// Quantize and dequantize nodes of equal numbers are one step: the same bits, whatever the layout.
TEST(Interpreter, RoundedValuesAreThoseOfTheTwoNodes) {
  ProgramBuilder b;
  Value *x = b.input("x", {70, 80, 2}), *y = b.qdq(x, 0.005, 5), *z = b.dequantize(b.quantize(x, 0.005, 5), 0.005, 6);
  b.returns({b("aten.relu.default", y), z});
  Interpreter interpreter(b.program, {.threads = 1});
  const auto show = [](const Value*, const Tensor&) { return std::nullopt; };
  const std::vector<int64_t> turned = {1, 2, 0};
  for (const Tensor& in : {noise({70, 80, 2}), noise({2, 70, 80}).permuted(turned), noise({70, 81, 2}).narrowed(1, 1, 80)}) {
    const std::vector<Tensor> one_step = interpreter.run({in}), two_steps = interpreter.run({in}, show);
    EXPECT_EQ(values(one_step[0]), values(two_steps[0]));
    EXPECT_EQ(values(one_step[1]), values(two_steps[1]));
    EXPECT_NE(values(one_step[0]), values(one_step[1]));
  }
}

}  // namespace
}  // namespace intaglio
