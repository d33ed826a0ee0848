// Weights too large for a packed copy: the same values as the packed path gives, whatever the number of threads.
#include <cstring>
#include <span>

#include "interpreter/dnnl_support.h"
#include "interpreter/run_op_for_tests.h"

namespace intaglio::interp {
namespace {

using namespace test;

TensorMeta f32(const Tensor& like) { return TensorMeta::contiguous(like.dtype(), {like.sizes().begin(), like.sizes().end()}); }

// One product with a constant weight and bias; with `normalized` a batch norm and a ReLU behind it, which are folded in.
Tensor run_layer(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, std::vector<NamedArgument> more, int threads,
                 bool normalized = false, bool fused = true) {
  ExportedProgram program;
  Graph& graph = program.graph();
  Value *w = program.add_parameter("weight", weight), *b = program.add_parameter("bias", bias);
  std::vector<Value*> statistics;
  for (const char* name : {"gamma", "beta", "mean"}) statistics.push_back(program.add_parameter(name, noise(bias.sizes(), name[0])));
  statistics.push_back(
      program.add_parameter("var", Tensor::of<float>(std::vector<float>(static_cast<size_t>(bias.numel()), 2), bias.sizes())));
  Value* input = graph.add_input(graph.inputs().size(), {f32(x), "x"});
  program.input_specs.push_back({InputSpec::Kind::user_input, input, ""});
  std::vector<NamedArgument> arguments = {{"input", input}, {"weight", w}, {"bias", b}};
  for (NamedArgument& argument : more) arguments.push_back(std::move(argument));
  Value* result = graph.insert_before(nullptr, Op::get(op), arguments, {{f32(x)}}).output();
  if (normalized) {
    result = graph
                 .insert_before(nullptr, Op::get("aten.batch_norm.default"),
                                {{"input", result},
                                 {"weight", statistics[0]},
                                 {"bias", statistics[1]},
                                 {"running_mean", statistics[2]},
                                 {"running_var", statistics[3]},
                                 {"training", false},
                                 {"momentum", 0.1},
                                 {"eps", 1e-5},
                                 {"cudnn_enabled", true}},
                                {{f32(x)}})
                 .output();
    result = graph.insert_before(nullptr, Op::get("aten.relu.default"), {{"self", result}}, {{f32(x)}}).output();
  }
  graph.set_outputs({result});
  program.output_specs = {{OutputSpec::Kind::user_output, ""}};
  Interpreter interpreter(program, {.threads = threads});
  const ValueHook watch = [](const Value*, const Tensor&) { return std::nullopt; };
  return (fused ? interpreter.run({x}) : interpreter.run({x}, watch))[0].contiguous().clone();
}

void expect_close(const Tensor& actual, const Tensor& expected, double tolerance) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const Tensor x = actual.contiguous(), y = expected.contiguous();
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < x.numel(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(x.data<float>()[i]) - y.data<float>()[i]));
    largest = std::max(largest, std::abs(static_cast<double>(y.data<float>()[i])));
  }
  EXPECT_GT(largest, 1);
  EXPECT_LT(worst, tolerance);
}

TEST(LargeWeights, LinearAgreesWithPackedHalves) {
  const int64_t features = 2051, outputs = 2050, half = outputs / 2;
  const Tensor weight = noise({outputs, features}, 2), bias = noise({outputs}, 3);
  ASSERT_TRUE(is_large_weight(weight));
  for (const int64_t rows : {1, 3, 530}) {
    const Tensor x = noise({rows, features}, 4);
    const Tensor out = run_layer("aten.linear.default", x, weight, bias, {}, 1);
    for (const int threads : {2, 7}) EXPECT_TRUE(bit_equal(out, run_layer("aten.linear.default", x, weight, bias, {}, threads)));
    for (const int64_t first : {int64_t{0}, half})
      expect_close(
          out.narrowed(1, first, half),
          run_layer("aten.linear.default", x, weight.narrowed(0, first, half).clone(), bias.narrowed(0, first, half).clone(), {}, 1), 1e-3);
  }
}

TEST(LargeWeights, LinearReadsThemAtAnyAddress) {
  const Tensor weight = noise({2050, 2051}, 2), bias = noise({2050}, 3), x = noise({3, 2051}, 4);
  std::vector<std::byte> file(1 + weight.nbytes());
  std::memcpy(file.data() + 1, weight.raw(), weight.nbytes());
  const Tensor odd(DType::float32, weight.sizes(), weight.strides(), 0,
                   Storage::unaligned(Storage::mapped(nullptr, std::span(file).subspan(1))));
  EXPECT_TRUE(bit_equal(run_layer("aten.linear.default", x, odd, bias, {}, 1), run_layer("aten.linear.default", x, weight, bias, {}, 1)));
}

struct ConvolutionCase {
  const char* op;
  int64_t groups;
  int64_t batch;
  bool transposed;
};

TEST(LargeWeights, ConvolutionAgreesWithPackedParts) {
  for (const ConvolutionCase& c :
       {ConvolutionCase{"aten.conv2d.default", 1, 3, false}, ConvolutionCase{"aten.conv2d.default", 2, 1, false},
        ConvolutionCase{"aten.conv_transpose2d.input", 1, 1, true}, ConvolutionCase{"aten.conv_transpose2d.input", 2, 2, true}}) {
    SCOPED_TRACE(std::string(c.op) + " in groups: " + std::to_string(c.groups));
    const int64_t outputs = 1000, inputs = 500 * c.groups, step = outputs / 2;
    const Sizes sizes = c.transposed ? Sizes{inputs, outputs / c.groups, 3, 3} : Sizes{outputs, inputs / c.groups, 3, 3};
    const Tensor weight = noise(sizes, 5), bias = noise({outputs}, 6), x = noise({c.batch, inputs, 4, 3}, 7);
    ASSERT_TRUE(is_large_weight(weight));
    const auto arguments = [](int64_t groups) {
      return std::vector<NamedArgument>{
          {"stride", std::vector<int64_t>{2, 1}}, {"padding", std::vector<int64_t>{1, 1}}, {"groups", groups}};
    };
    const Tensor out = run_layer(c.op, x, weight, bias, arguments(c.groups), 1);
    for (const int threads : {2, 7}) EXPECT_TRUE(bit_equal(out, run_layer(c.op, x, weight, bias, arguments(c.groups), threads)));
    for (int64_t part = 0; part < 2; ++part) {  // half of the output channels, which are those of one group where there are two
      const Tensor some = c.groups == 2 ? x.narrowed(1, part * inputs / 2, inputs / 2).clone() : x;
      const Tensor w = c.transposed && c.groups == 1 ? weight.narrowed(1, part * step, step)
                                                     : weight.narrowed(0, part * weight.size(0) / 2, weight.size(0) / 2);
      ASSERT_FALSE(is_large_weight(w));
      expect_close(out.narrowed(1, part * step, step),
                   run_layer(c.op, some, w.clone(), bias.narrowed(0, part * step, step).clone(), arguments(1), 1), 1e-3);
    }
  }
}

TEST(LargeWeights, BatchNormIsFoldedIntoPanels) {
  const Tensor weight = noise({1000, 500, 3, 3}, 5), bias = noise({1000}, 6), x = noise({1, 500, 3, 3}, 7);
  const auto run = [&](int threads, bool fused) { return run_layer("aten.conv2d.default", x, weight, bias, {}, threads, true, fused); };
  const Tensor out = run(1, true);
  EXPECT_TRUE(bit_equal(out, run(7, true)));
  expect_close(out, run(1, false), 1e-3);
}

}  // namespace
}  // namespace intaglio::interp
