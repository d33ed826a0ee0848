// Whole graphs: fusion, hooks, in-place ops, buffers, input checks.
#include "interpreter/test_support.h"

#include <map>

namespace intaglio {
namespace {

using namespace test;

TensorMeta f32(std::vector<SymInt> sizes) { return TensorMeta::contiguous(DType::float32, std::move(sizes)); }

// conv -> batch norm -> relu_ -> mean, with a user input 1x3x6x6.
struct ConvNet {
  ExportedProgram program;
  Value *x, *conv, *norm, *relu, *mean;
  ConvNet() {
    Graph& graph = program.graph();
    Value* w = program.add_parameter("conv.weight", noise({4, 3, 3, 3}, 2));
    Value* b = program.add_parameter("conv.bias", noise({4}, 3));
    Value* gamma = program.add_parameter("bn.weight", Tensor::of<float>({1, 2, 0.5f, -1}, {4}));
    Value* beta = program.add_parameter("bn.bias", noise({4}, 4));
    Value* running_mean = program.add_buffer("bn.running_mean", noise({4}, 5));
    Value* running_var = program.add_buffer("bn.running_var", Tensor::of<float>({1, 2, 0.25f, 4}, {4}));
    x = graph.add_input(graph.inputs().size(), {f32({1, 3, 6, 6}), "x"});
    program.input_specs.push_back({InputSpec::Kind::user_input, x, ""});
    conv = graph
               .insert_before(nullptr, Op::get("aten.conv2d.default"),
                              {{"input", x}, {"weight", w}, {"bias", b}, {"padding", std::vector<int64_t>{1, 1}}}, {{f32({1, 4, 6, 6})}})
               .output();
    norm = graph
               .insert_before(nullptr, Op::get("aten.batch_norm.default"),
                              {{"input", conv},
                               {"weight", gamma},
                               {"bias", beta},
                               {"running_mean", running_mean},
                               {"running_var", running_var},
                               {"training", false},
                               {"momentum", 0.1},
                               {"eps", 1e-5},
                               {"cudnn_enabled", true}},
                              {{f32({1, 4, 6, 6})}})
               .output();
    relu = graph.insert_before(nullptr, Op::get("aten.relu_.default"), {{"self", norm}}, {{f32({1, 4, 6, 6})}}).output();
    mean = graph.insert_before(nullptr, Op::get("aten.mean.dim"), {{"self", relu}, {"dim", std::vector<int64_t>{2, 3}}}, {{f32({1, 4})}})
               .output();
    graph.set_outputs({mean});
    program.output_specs = {{OutputSpec::Kind::user_output, ""}};
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
  ExportedProgram program;
  Graph& graph = program.graph();
  const Tensor initial = Tensor::of<float>({1, 2, 3, 4}, {2, 2});
  Value* buffer = program.add_buffer("cache", initial);
  Value* x = graph.add_input(1, {f32({2}), "x"});
  program.input_specs.push_back({InputSpec::Kind::user_input, x, ""});
  Value* column =
      graph.insert_before(nullptr, Op::get("aten.select.int"), {{"self", buffer}, {"dim", 1}, {"index", 0}}, {{f32({2})}}).output();
  graph.insert_before(nullptr, Op::get("aten.add_.Tensor"), {{"self", column}, {"other", x}}, {{f32({2})}});
  Value* flat =
      graph.insert_before(nullptr, Op::get("aten.view.default"), {{"self", buffer}, {"size", std::vector<int64_t>{4}}}, {{f32({4})}})
          .output();
  graph.set_outputs({flat});
  program.output_specs = {{OutputSpec::Kind::user_output, ""}};
  Interpreter interpreter(program);
  const Tensor ten = Tensor::of<float>({10, 20}, {2});
  const Tensor first = interpreter.run({ten})[0];
  expect_values(first, {11, 2, 23, 4});
  expect_values(interpreter.run({ten})[0], {21, 2, 43, 4});
  expect_values(first, {11, 2, 23, 4});  // what the caller holds does not change
  expect_values(initial, {1, 2, 3, 4});  // nor does the program's tensor
}

TEST(Interpreter, BufferMutationOutputsPersist) {
  ExportedProgram program;
  Graph& graph = program.graph();
  Value* count = program.add_buffer("count", Tensor::scalar(int64_t{0}));
  Value* next =
      graph
          .insert_before(nullptr, Op::get("aten.add.Tensor"), {{"self", count}, {"other", 1}}, {{TensorMeta::contiguous(DType::int64, {})}})
          .output();
  graph.set_outputs({next, next});
  program.output_specs = {{OutputSpec::Kind::buffer_mutation, "count"}, {OutputSpec::Kind::user_output, ""}};
  Interpreter interpreter(program);
  expect_values(interpreter.run({})[0], {1});
  expect_values(interpreter.run({})[0], {2});
}

TEST(Interpreter, UserInputsAreNotWritten) {
  ExportedProgram program;
  Graph& graph = program.graph();
  Value* x = graph.add_input(0, {f32({3}), "x"});
  program.input_specs = {{InputSpec::Kind::user_input, x, ""}};
  Value* relu = graph.insert_before(nullptr, Op::get("aten.relu_.default"), {{"self", x}}, {{f32({3})}}).output();
  graph.set_outputs({relu});
  program.output_specs = {{OutputSpec::Kind::user_output, ""}};
  const Tensor input = Tensor::of<float>({-1, 0, 2}, {3});
  expect_values(Interpreter(program).run({input})[0], {0, 0, 2});
  expect_values(input, {-1, 0, 2});
}

TEST(Interpreter, SymbolicSizes) {
  ExportedProgram program;
  Graph& graph = program.graph();
  const SymInt s(parse_sym_expr("s0"), "s0", 4);
  Value* x = graph.add_input(0, {f32({s, 2}), "x"});
  program.input_specs = {{InputSpec::Kind::user_input, x, ""}};
  program.range_constraints["s0"] = {2, 8};
  Value* size =
      graph.insert_before(nullptr, Op::get("aten.sym_size.int"), {{"self", x}, {"dim", 0}}, {{.name = "n", .kind = ValueKind::sym_int}})
          .output();
  Value* doubled =
      graph.insert_before(nullptr, Op::get("_operator.mul"), {{"", size}, {"", 2}}, {{.name = "m", .kind = ValueKind::sym_int}}).output();
  Value* flat = graph
                    .insert_before(nullptr, Op::get("aten.view.default"), {{"self", x}, {"size", std::vector<SymArg>{doubled}}},
                                   {{f32({s * SymInt(2)})}})
                    .output();
  graph.set_outputs({flat});
  program.output_specs = {{OutputSpec::Kind::user_output, ""}};
  Interpreter interpreter(program);
  EXPECT_EQ(interpreter.run({noise({3, 2})})[0].sizes(), (Sizes{6}));
  EXPECT_EQ(interpreter.run({noise({8, 2})})[0].sizes(), (Sizes{16}));
  EXPECT_NE(message_of([&] { interpreter.run({noise({9, 2})}); }).find("has size 9 in dimension 0, the program takes 2 to 8"),
            std::string::npos);
}

TEST(Interpreter, UnknownOpsAreNamed) {
  ExportedProgram program;
  Graph& graph = program.graph();
  Value* x = graph.add_input(0, {f32({3}), "x"});
  program.input_specs = {{InputSpec::Kind::user_input, x, ""}};
  graph.set_outputs({graph.insert_before(nullptr, Op::get("mylib.frobnicate.default"), {{"self", x}}, {{f32({3})}}).output()});
  program.output_specs = {{OutputSpec::Kind::user_output, ""}};
  EXPECT_NE(message_of([&] { Interpreter interpreter(program); }).find("mylib.frobnicate.default"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
