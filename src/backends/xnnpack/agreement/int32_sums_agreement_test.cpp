// Biases and rows on both sides of what int32 holds, from the float program to the stock runtime.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <intaglio/interpreter.h>

#include "backends/xnnpack/agreement/agreement_for_tests.h"
#include "ir/parser.h"
#include "testing/numbers.h"

namespace intaglio::xnnpack::agreement {
namespace {

using test::noise;
using test::sqnr;

struct Layer {
  const char* name;
  const char* program;  // `BIAS` stands for the values of four channels
  Sizes input;
};
void PrintTo(const Layer& layer, std::ostream* out) { *out << layer.name; }

const Layer layers[] = {
    {"linear",
     R"(
parameter %w: f32[4, 8] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[3, 8]
%y = aten.linear.default(%x, %w, %b) in 'c' (torch.nn.modules.linear.Linear)
output user %y
)",
     {3, 8}},
    {"conv1d",
     R"(
parameter %w: f32[4, 8, 3] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[1, 8, 9]
%y = aten.conv1d.default(%x, %w, %b) in 'c' (torch.nn.modules.conv.Conv1d)
output user %y
)",
     {1, 8, 9}},
    {"conv2d",
     R"(
parameter %w: f32[4, 8, 3, 3] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[1, 8, 6, 6]
%y = aten.conv2d.default(%x, %w, %b, [1, 1], [1, 1]) in 'c' (torch.nn.modules.conv.Conv2d)
output user %y
)",
     {1, 8, 6, 6}},
    {"grouped",
     R"(
parameter %w: f32[4, 4, 3, 3] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[1, 8, 6, 6]
%y = aten.conv2d.default(%x, %w, %b, [1, 1], [1, 1], [1, 1], 2) in 'c' (torch.nn.modules.conv.Conv2d)
output user %y
)",
     {1, 8, 6, 6}},
    {"depthwise",
     R"(
parameter %w: f32[4, 1, 3, 3] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[1, 4, 6, 6]
%y = aten.conv2d.default(%x, %w, %b, [1, 1], [1, 1], [1, 1], 4) in 'c' (torch.nn.modules.conv.Conv2d)
output user %y
)",
     {1, 4, 6, 6}},
    {"transposed",
     R"(
parameter %w: f32[8, 4, 3, 3] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[1, 8, 6, 6]
%y = aten.conv_transpose2d.input(%x, %w, %b, [2, 2]) in 'c' (torch.nn.modules.conv.ConvTranspose2d)
output user %y
)",
     {1, 8, 6, 6}},
    {"relu",
     R"(
parameter %w: f32[4, 8] 'c.weight' = random(1)
parameter %b: f32[4] 'c.bias' = BIAS
user %x: f32[3, 8]
%y = aten.linear.default(%x, %w, %b) in 'c' (torch.nn.modules.linear.Linear)
%r = aten.relu.default(%y)
output user %r
)",
     {3, 8}},
    {"batch_norm",
     R"(
parameter %w: f32[4, 8, 3, 3] 'c.weight' = random(1)
parameter %g: f32[4] 'n.weight' = [1.0, 0.9, 1.1, 1.0]
parameter %b: f32[4] 'n.bias' = BIAS
buffer %m: f32[4] 'n.mean' = [0.1, -0.1, 0.2, 0.0]
buffer %v: f32[4] 'n.var' = full(1.0)
user %x: f32[1, 8, 6, 6]
%y = aten.conv2d.default(%x, %w) in 'c' (torch.nn.modules.conv.Conv2d)
%n = aten.batch_norm.default(%y, %g, %b, %m, %v, False, 0.1, 1e-05, True)
output user %n
)",
     {1, 8, 6, 6}},
};

// Inputs this small get the smallest scale there is, 2^-12, and weights up to 1 about 1/127.
constexpr double fitting_bias = 2147483647.0 / 4096 / 127;

ExportedProgram program_of(const Layer& layer, double share) {
  const double b = share * fitting_bias;
  std::string text = layer.program;
  const size_t place = text.find("BIAS");
  return parse_program(text.replace(place, 4, fmt::format("[{}, {}, {}, 0.5]", b, -b / 3, b / 7)));
}

struct Converted {
  ExportedProgram program;
  std::vector<std::string> warnings;
};

Converted convert(ExportedProgram floats, SymmetricQuantizationOptions options, Compat compat, const std::vector<Tensor>& samples) {
  XnnpackQuantizer quantizer(compat);
  quantizer.set_global(get_symmetric_quantization_config(options));
  Converted result;
  PreparedProgram prepared = prepare_pt2e(std::move(floats), quantizer,
                                          {.compat = compat, .threads = 1, .warn = [&](const auto& w) { result.warnings.push_back(w); }});
  for (const Tensor& sample : samples) prepared({sample});
  result.program = convert_pt2e(std::move(prepared));
  return result;
}

struct Lowered {
  Tensor output;
  size_t delegates = 0;
  std::vector<std::string> leftovers;
  std::vector<std::string> warnings;
};

Lowered lower_and_run(const ExportedProgram& program, Compat compat, const Tensor& input) {
  PartitionerList partitioners;
  partitioners.add(std::make_unique<XnnpackPartitioner>(XnnpackPartitionerOptions{.compat = compat}));
  Lowered result;
  EdgeProgram edge = to_edge_transform_and_lower(program.clone(), partitioners,
                                                 {.threads = 1, .warn = [&](const auto& w) { result.warnings.push_back(w); }});
  result.delegates = edge.methods.front().delegates.size();
  for (const LeftoverOp& op : edge.methods.front().leftovers) result.leftovers.push_back(op.op);
  result.output = run(std::move(edge), {input}).front();
  return result;
}

Tensor interpreted(const ExportedProgram& program, const Tensor& input) {
  return Interpreter(program, {.threads = 1}).run({input}).front();
}

// One warning of this kind; others may say that all outputs lie within one step.
bool names_the_layer(const std::vector<std::string>& warnings) {
  std::vector<std::string> of_sums = warnings;
  std::erase_if(of_sums, [](const std::string& warning) { return warning.find("int32") == std::string::npos; });
  return of_sums.size() == 1 && of_sums[0].find("layer 'c'") != std::string::npos;
}

class BiasesAroundInt32 : public testing::TestWithParam<Layer> {};
INSTANTIATE_TEST_SUITE_P(Layers, BiasesAroundInt32, testing::ValuesIn(layers), [](const auto& info) { return info.param.name; });

TEST_P(BiasesAroundInt32, ScalesAreRaisedWhereTheyDoNotFit) {
  const Tensor input = noise(GetParam().input, -0.01f, 0.01f, 1);
  const std::vector<Tensor> samples = {input, noise(GetParam().input, -0.01f, 0.01f, 2)};
  for (const bool per_channel : {true, false})
    for (const double share : {0.3, 3.0, 1e3, 1e6}) {
      SCOPED_TRACE(fmt::format("per_channel={} share={}", per_channel, share));
      const Tensor reference = interpreted(program_of(GetParam(), share), input);
      const SymmetricQuantizationOptions options{.is_per_channel = per_channel};
      const Converted ours = convert(program_of(GetParam(), share), options, Compat::intaglio, samples);
      EXPECT_EQ(names_the_layer(ours.warnings), share > 1) << fmt::format("{}", ours.warnings.size());
      const Lowered lowered = lower_and_run(ours.program, Compat::intaglio, input);
      EXPECT_EQ(lowered.delegates, 1u);
      EXPECT_TRUE(lowered.leftovers.empty() && lowered.warnings.empty());
      EXPECT_GT(sqnr(reference, lowered.output), 40);
      EXPECT_GT(sqnr(interpreted(ours.program, input), lowered.output), 45);
    }
}

// What torchao quantized is lowered so that it gives what it gives in PyTorch; ExecuTorch wraps.
TEST_P(BiasesAroundInt32, TorchaosProgramsRunInFloatWhereTheyDoNotFit) {
  const Tensor input = noise(GetParam().input, -0.01f, 0.01f, 1);
  for (const bool per_channel : {true, false})
    for (const double share : {0.3, 3.0}) {
      SCOPED_TRACE(fmt::format("per_channel={} share={}", per_channel, share));
      const Converted theirs = convert(program_of(GetParam(), share), {.is_per_channel = per_channel}, Compat::torchao, {input});
      EXPECT_TRUE(theirs.warnings.empty());
      const Tensor converted = interpreted(theirs.program, input);
      const Lowered ours = lower_and_run(theirs.program, Compat::intaglio, input);
      EXPECT_EQ(ours.delegates, 1u);
      EXPECT_TRUE(ours.leftovers.empty());
      EXPECT_EQ(names_the_layer(ours.warnings), share > 1);
      EXPECT_GT(sqnr(converted, ours.output), 45);
      if (share > 1) { EXPECT_LT(sqnr(converted, lower_and_run(theirs.program, Compat::torchao, input).output), 10); }
    }
}

constexpr int64_t longest_row = 2147483647 / (255 * 127);  // of the largest weights

ExportedProgram long_row(int64_t length) {
  return parse_program(fmt::format(R"(
parameter %w: f32[2, {0}] 'c.weight' = full(1.0)
parameter %b: f32[2] 'c.bias' = [0.5, -2.0]
user %x: f32[1, {0}]
%y = aten.linear.default(%x, %w, %b) in 'c' (torch.nn.modules.linear.Linear)
output user %y
)",
                                   length));
}

bool has_int8_layer(const ExportedProgram& program) {
  return std::ranges::any_of(program.graph().inputs(),
                             [](const Value* input) { return input->is_tensor() && input->dtype() == DType::int8; });
}

struct LongRow {
  int64_t length;
  bool warns, int8;
};

TEST(RowsAroundInt32, AreCoarserOrInFloat) {
  for (const LongRow& row : {LongRow{longest_row - 10, false, true},
                             {longest_row + 10, true, true},
                             {longest_row * 2, true, true},
                             {longest_row * 5, true, false}})
    for (const bool dynamic : {false, true}) {
      SCOPED_TRACE(fmt::format("{} products, dynamic={}", row.length, dynamic));
      const Tensor input = noise({1, row.length}, 0.5f, 1.0f, 5);
      const SymmetricQuantizationOptions options{.is_per_channel = true, .is_dynamic = dynamic};
      const Tensor reference = interpreted(long_row(row.length), input);
      const Converted ours = convert(long_row(row.length), options, Compat::intaglio, {input});
      EXPECT_EQ(names_the_layer(ours.warnings), row.warns);
      EXPECT_EQ(has_int8_layer(ours.program), row.int8);
      const Lowered lowered = lower_and_run(ours.program, Compat::intaglio, input);
      EXPECT_EQ(lowered.delegates, 1u);
      EXPECT_TRUE(lowered.leftovers.empty() && lowered.warnings.empty());
      EXPECT_GT(sqnr(reference, lowered.output), 40);
    }
}

TEST(RowsAroundInt32, TorchaosRunInFloat) {
  const int64_t length = longest_row * 2;
  const Tensor input = noise({1, length}, 0.5f, 1.0f, 5);
  for (const bool dynamic : {false, true}) {
    SCOPED_TRACE(fmt::format("dynamic={}", dynamic));
    const Converted theirs = convert(long_row(length), {.is_per_channel = true, .is_dynamic = dynamic}, Compat::torchao, {input});
    const Tensor converted = interpreted(theirs.program, input);
    const Lowered ours = lower_and_run(theirs.program, Compat::intaglio, input);
    EXPECT_EQ(ours.delegates, 1u);
    EXPECT_TRUE(ours.leftovers.empty());
    EXPECT_TRUE(names_the_layer(ours.warnings));
    EXPECT_GT(sqnr(converted, ours.output), 40);
    EXPECT_LT(sqnr(converted, lower_and_run(theirs.program, Compat::torchao, input).output), 10);
  }
}

}  // namespace
}  // namespace intaglio::xnnpack::agreement
