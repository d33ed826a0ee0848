#include "report/explanation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include <intaglio/xnnpack.h>

#include "pt2e/networks_for_tests.h"

namespace intaglio {
namespace {

using test::ProgramBuilder;
using test::ramp;
using test::residual_network;

// linear -> cumsum -> linear: the one in the middle is not XNNPACK's.
ExportedProgram sums_between_layers() {
  ProgramBuilder b;
  Value* x = b.input("x", {4, 8});
  const auto layer = [&](Value* input, const std::string& name) {
    return b.call("aten.linear.default", {{"input", input}, {"weight", b.parameter(name + ".weight", ramp({8, 8}, 0.1f, 0.1f))}}, {4, 8},
                  name, {{name, test::linear_type}});
  };
  Value* first = layer(x, "first");
  Value* sums = b.call("aten.cumsum.default", {{"self", first}, {"dim", 1}}, {4, 8}, "sums", {{"middle", "model.Sums"}});
  sums->producer()->metadata["stack_trace"] = "File \"model.py\", line 31, in forward";
  return b.finish({layer(sums, "second")});
}

TEST(Delegation, NamesWhatStaysOutside) {
  const EdgeProgram edge = to_edge_transform_and_lower(sums_between_layers(), {xnnpack::XnnpackPartitioner()});
  const report::DelegationExplanation explained = report::explain_delegation(edge.methods.at(0));
  EXPECT_EQ(explained.method, "forward");
  EXPECT_EQ(explained.work, 2u * 4 * 8 * 8 + 2 * 32);
  ASSERT_EQ(explained.delegates.size(), 2u);
  EXPECT_DOUBLE_EQ(explained.delegates[0].share, 256.0 / 576);
  ASSERT_EQ(explained.outside.size(), 1u);
  const report::ExplainedOp& op = explained.outside[0];
  EXPECT_EQ(op.op, "aten.cumsum.default");
  EXPECT_EQ(op.layer, "middle");
  EXPECT_EQ(op.source, "model.py:31");
  EXPECT_EQ(op.rule, "aten.cumsum.default: XNNPACK has no such op");
  EXPECT_EQ(op.work.amount, 64u);
  EXPECT_FALSE(op.work.is_macs);
  EXPECT_DOUBLE_EQ(op.share, 64.0 / 576);
}

TEST(Delegation, WithoutABackendEverythingIsOutsideAndSharesAddUp) {
  const EdgeProgram edge = to_edge_transform_and_lower(residual_network(), {});
  const report::DelegationExplanation explained = report::explain_delegation(edge.methods.at(0));
  double sum = 0;
  for (const report::ExplainedOp& op : explained.outside) sum += op.share;
  EXPECT_NEAR(sum, 1, 1e-12);
  EXPECT_TRUE(std::ranges::is_sorted(explained.outside, std::greater(), &report::ExplainedOp::share));
  EXPECT_EQ(explained.outside.front().op, "aten.convolution.default");
}

xnnpack::XnnpackQuantizer int8_quantizer(Compat compat = Compat::intaglio) {
  xnnpack::XnnpackQuantizer quantizer(compat);
  quantizer.set_global(xnnpack::get_symmetric_quantization_config({.is_per_channel = true}));
  return quantizer;
}

std::set<std::pair<std::string, std::string>> ops_and_rules(const report::QuantizationExplanation& explained) {
  std::set<std::pair<std::string, std::string>> result;
  for (const report::ExplainedOp& op : explained.in_float) result.emplace(op.op, op.rule);
  return result;
}

TEST(Quantization, SaysWhatAQuantizerLeavesAlone) {
  const ExportedProgram program = sums_between_layers();
  xnnpack::XnnpackQuantizer quantizer = int8_quantizer();
  const report::QuantizationExplanation all = report::explain_quantization(prepare_pt2e(program.clone(), quantizer));
  EXPECT_EQ(ops_and_rules(all),
            (std::set<std::pair<std::string, std::string>>{{"aten.cumsum.default", "XNNPACK's quantizer has no pattern for this op"}}));
  EXPECT_DOUBLE_EQ(all.quantized_share, 512.0 / 576);

  quantizer.set_module_name("first", std::nullopt);
  const report::QuantizationExplanation half = report::explain_quantization(prepare_pt2e(program.clone(), quantizer));
  EXPECT_TRUE(ops_and_rules(half).contains({"aten.linear.default", "the configuration leaves it in float"}));
  EXPECT_EQ(half.in_float.front().layer, "first");
  EXPECT_DOUBLE_EQ(half.quantized_share, 256.0 / 576);
}

TEST(Quantization, NamesThePatternThatRefused) {
  ProgramBuilder b;
  Value* x = b.input("x", {4, 8});
  Value* y = b.call("aten.linear.default", {{"input", x}, {"weight", b.input("w", {8, 8})}}, {4, 8}, "linear");
  Value* z = b.call("aten.view.default", {{"self", y}, {"size", std::vector<int64_t>{32}}}, {32}, "view");
  const report::QuantizationExplanation explained = report::explain_quantization(prepare_pt2e(b.finish({z}), int8_quantizer()));
  EXPECT_EQ(ops_and_rules(explained), (std::set<std::pair<std::string, std::string>>{
                                          {"aten.linear.default", "linear: weight and bias are float constants, the activation is float"},
                                          {"aten.view.default", "sharing: what it reads is quantized by the node that makes it"}}));
  EXPECT_EQ(explained.quantized_share, 0);
}

TEST(Quantization, ReadsAConvertedProgram) {
  const xnnpack::XnnpackQuantizer quantizer = int8_quantizer();
  PreparedProgram prepared = prepare_pt2e(sums_between_layers(), quantizer);
  prepared({ramp({4, 8}, -1, 0.25f)});
  const ExportedProgram converted = convert_pt2e(std::move(prepared));
  EXPECT_TRUE(report::has_quantization(converted));
  EXPECT_FALSE(report::has_quantization(residual_network()));
  const report::QuantizationExplanation explained = report::explain_quantization(converted);
  EXPECT_DOUBLE_EQ(explained.quantized_share, 1);  // the sums read what the first layer's output was quantized to
  EXPECT_TRUE(explained.in_float.empty());

  xnnpack::XnnpackQuantizer half = int8_quantizer();
  half.set_module_name("second", std::nullopt);
  PreparedProgram other = prepare_pt2e(sums_between_layers(), half);
  other({ramp({4, 8}, -1, 0.25f)});
  const report::QuantizationExplanation second = report::explain_quantization(convert_pt2e(std::move(other)));
  EXPECT_EQ(ops_and_rules(second),
            (std::set<std::pair<std::string, std::string>>{{"aten.linear.default", "reads the float result of aten.cumsum.default"}}));
}

// No activation is quantized: what counts is the weight that a layer reads.
TEST(Quantization, ReadsAProgramWithQuantizedWeightsAlone) {
  ExportedProgram program = sums_between_layers();
  quantize_(program, IntxWeightOnlyConfig{}, [](const QuantizableLayer& layer) { return layer.fqn == "second"; });
  const report::QuantizationExplanation explained = report::explain_quantization(program);
  EXPECT_DOUBLE_EQ(explained.quantized_share, 256.0 / 576);
  EXPECT_EQ(ops_and_rules(explained),
            (std::set<std::pair<std::string, std::string>>{{"aten.linear.default", "no weight of it is quantized"},
                                                           {"aten.cumsum.default", "no weight of it is quantized"}}));
}

}  // namespace
}  // namespace intaglio
