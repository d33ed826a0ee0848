#include "pt2e/passes.h"

#include <cmath>

#include <gtest/gtest.h>
#include <intaglio/interpreter.h>

#include "pt2e/networks_for_tests.h"
#include "testing/text_cases.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

const bool fold_registered =
    register_text_cases("FoldBatchNorm", "src/pt2e/fold_batch_norm.test",
                        program_passes({
                            {"fold_batch_norm", [](ExportedProgram& program) { fold_batch_norm(program, Compat::intaglio); }},
                            {"fold_batch_norm compat=torchao", [](ExportedProgram& program) { fold_batch_norm(program, Compat::torchao); }},
                        }));
const bool restore_registered = register_text_cases("RestoreBatchNorms", "src/pt2e/restore_batch_norms.test",
                                                    program_passes({{"restore_batch_norms", restore_batch_norms}}));
const bool quantize_registered = register_text_cases("FoldQuantize", "src/pt2e/fold_quantize.test",
                                                     program_passes({{"fold_quantize", [](ExportedProgram& p) { fold_quantize(p); }}}));

struct ConvBn {
  ProgramBuilder b;
  Value* weight;
  Value* x;
  Value* conv;
  ConvBn(bool with_bias, const std::string& op = "aten.conv2d.default", Sizes weight_sizes = {4, 3, 1, 1}) {
    weight = b.parameter("c.weight", ramp(std::move(weight_sizes), -0.5f, 0.07f));
    Value* bias = with_bias ? b.parameter("c.bias", ramp({4}, 0.3f, 0.01f)) : nullptr;
    x = b.input("x", {1, 3, 8, 8});
    conv = call(op, bias, "conv");
  }
  Value* call(const std::string& op, Value* bias, const std::string& name) {
    return b.call(op, {{"input", x}, {"weight", weight}, {"bias", bias != nullptr ? Argument(bias) : Argument()}}, {1, 4, 8, 8}, name,
                  {{"c", conv2d_type}});
  }
};

TEST(FoldBatchNorm, ConvWeightAndBiasHaveTorchaosBits) {
  ConvBn t(true);
  const Tensor old = *t.b.program.constant(t.weight);
  Value* bn = batch_norm(t.b, t.conv, 4, "bn");
  ExportedProgram program = t.b.finish({bn});
  EXPECT_EQ(fold_batch_norm(program, Compat::intaglio), 1u);
  EXPECT_EQ(program.graph().size(), 1u);
  EXPECT_EQ(program.state.entries().size(), 2u);  // the batch norm's constants went
  const Node* conv = program.graph().node_list().front();
  const auto weight = program.constant(conv->tensor("weight"))->span<float>();
  const auto bias = program.constant(conv->tensor("bias"))->span<float>();
  for (int c = 0; c < 4; ++c) {
    const float scale = 0.5f + 0.125f * static_cast<float>(c), shift = -0.25f + 0.0625f * static_cast<float>(c);
    const float mean = 0.1f + 0.03f * static_cast<float>(c), variance = 0.7f + 0.11f * static_cast<float>(c);
    const float r = 1.0f / std::sqrt(variance + 1e-05f);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(weight[c * 3 + i], old.span<float>()[c * 3 + i] * (scale * r));
    EXPECT_EQ(bias[c], ((0.3f + 0.01f * static_cast<float>(c) - mean) * r) * scale + shift);
  }
}

TEST(FoldBatchNorm, FoldedWeightsAreRunWithoutBeingKept) {
  ConvBn t(true);
  Value* bn = batch_norm(t.b, t.conv, 4, "bn");
  ExportedProgram program = t.b.finish({bn});
  const Tensor sample = ramp({1, 3, 8, 8}, -1.0f, 0.01f);
  const Tensor expected = Interpreter(program, {.threads = 1}).run({sample}).front();
  ASSERT_EQ(fold_batch_norm(program, Compat::intaglio), 1u);
  const Tensor output = Interpreter(program, {.threads = 1}).run({sample}).front();
  for (int64_t i = 0; i < output.numel(); ++i) ASSERT_NEAR(output.span<float>()[i], expected.span<float>()[i], 1e-5f) << i;
  const Tensor& weight = *program.constant(program.graph().node_list().front()->tensor("weight"));
  const Tensor once = weight.for_one_use(), again = weight.for_one_use();
  EXPECT_NE(once.raw(), again.raw());
  EXPECT_TRUE(bit_equal(once, weight));
  const void* kept = weight.raw();
  EXPECT_EQ(weight.for_one_use().raw(), kept);  // from here on
}

TEST(FoldBatchNorm, TransposedConvolutionScalesItsSecondAxisGroupByGroup) {
  ProgramBuilder b;
  Value* weight = b.parameter("c.weight", ramp({4, 2, 1, 1}, 1.0f, 1.0f));
  Value* x = b.input("x", {1, 4, 8, 8});
  Value* conv = b.call("aten.conv_transpose2d.input",
                       {{"input", x},
                        {"weight", weight},
                        {"bias", Argument()},
                        {"stride", std::vector<int64_t>{1, 1}},
                        {"padding", std::vector<int64_t>{0, 0}},
                        {"output_padding", std::vector<int64_t>{0, 0}},
                        {"groups", 2}},
                       {1, 4, 8, 8}, "conv");
  Value* bn = batch_norm(b, conv, 4, "bn");
  ExportedProgram program = b.finish({bn});
  ASSERT_EQ(fold_batch_norm(program, Compat::intaglio), 1u);
  const auto values = program.constant(program.graph().node_list().front()->tensor("weight"))->span<float>();
  const auto factor = [](int c) {
    const float fc = static_cast<float>(c);
    return (0.5f + 0.125f * fc) * (1.0f / std::sqrt(0.7f + 0.11f * fc + 1e-05f));
  };
  for (int row = 0; row < 4; ++row)
    for (int k = 0; k < 2; ++k)
      EXPECT_EQ(values[row * 2 + k], static_cast<float>(1 + row * 2 + k) * factor((row / 2) * 2 + k)) << row << ' ' << k;
}

}  // namespace
}  // namespace intaglio::pt2e
