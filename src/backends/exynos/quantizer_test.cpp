#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/exynos.h>

#include "pt2e/prepared.h"
#include "pt2e/state_text_for_tests.h"
#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio::exynos {
namespace {

std::string text_of(const std::optional<QuantizationSpec>& spec) { return spec ? pt2e::to_string(AnyQuantizationSpec(*spec)) : "float"; }

TEST(EnnQuantizer, ConfigHasExecuTorchsNumbers) {
  const QuantizationConfig per_channel = get_quant_config();
  EXPECT_EQ(text_of(per_channel.input_activation), "int8 per_tensor_affine [-128, 127] min_max");
  EXPECT_EQ(text_of(per_channel.output_activation), text_of(per_channel.input_activation));
  EXPECT_EQ(text_of(per_channel.weight), "int8 per_channel_symmetric [-128, 127] axis 0 per_channel_min_max");
  EXPECT_EQ(text_of(per_channel.bias), "float");
  EXPECT_EQ(per_channel.weight->observer.eps, 1.0 / 4096);
  EXPECT_EQ(per_channel.input_activation->observer.eps, 1.0 / 4096);
  EXPECT_EQ(text_of(get_quant_config(Precision::a8w8, false).weight), "int8 per_tensor_affine [-128, 127] axis 0 min_max");
}

TEST(EnnQuantizer, OtherPrecisionsAndTrainingAreRefused) {
  const auto refusal = [](auto set) {
    EnnQuantizer quantizer;
    return test::refusal_of(ErrorKind::usage, [&] { set(quantizer); });
  };
  EXPECT_EQ(refusal([](EnnQuantizer& q) { q.set_quant_params("A16W8"); }), "precision 'A16W8': Exynos has A8W8 alone");
  EXPECT_EQ(refusal([](EnnQuantizer& q) { q.setup_precision(Precision{4}); }), "precision 4: Exynos has A8W8 (3) alone");
  const std::string training = "is_qat=true: training is PyTorch's part; train there, then quantize the trained program with is_qat=false";
  EXPECT_EQ(refusal([](EnnQuantizer& q) { q.set_quant_params("A8W8", true, true); }), training);
  EXPECT_EQ(refusal([](EnnQuantizer& q) { q.setup_quant_params(Precision::a8w8, false, true); }), training);
}

struct Net : test::ProgramBuilder {
  Value* linear(Value* x, const std::string& name) { return (*this)("aten.linear.default", x, weight(name, {4, 4})); }
};

struct Annotated {
  explicit Annotated(Net& net, const EnnQuantizer& quantizer = EnnQuantizer()) { quantizer.annotate(net.program, annotations); }
  std::string rule(const Value* value) const {
    const QuantizationAnnotation* annotation = annotations.find_producer(value);
    return annotation == nullptr || !annotation->annotated ? "" : annotation->rule;
  }
  std::string output(const Value* value) const {
    const QuantizationAnnotation* annotation = annotations.find_producer(value);
    return annotation == nullptr || !annotation->output_qspec ? "float" : pt2e::to_string(*annotation->output_qspec);
  }
  Annotations annotations;
};

TEST(EnnQuantizer, ALayerTakesInTheActivationThatAloneReadsIt) {
  Net net;
  Value* x = net.input("x", {2, 4});
  Value* layer = net.linear(x, "w");
  Value* relu = net("aten.relu.default", layer);
  Value* read_twice = net.linear(relu, "v");
  Value* other = net("aten.relu.default", read_twice);
  net.returns({other, read_twice});
  const Annotated done(net);
  EXPECT_EQ(done.rule(x), "exynos.input");
  EXPECT_EQ(done.rule(layer), "exynos.layer_with_activation");
  EXPECT_EQ(done.output(layer), "float");
  EXPECT_EQ(done.rule(relu), "exynos.layer_with_activation");
  EXPECT_EQ(done.rule(read_twice), "exynos.layer");
  EXPECT_EQ(done.rule(other), "exynos.one_in");
}

TEST(EnnQuantizer, ASumInFrontOfASoftmaxStaysInFloat) {
  Net net;
  Value* mask = net.input("mask", {2, 4});
  Value* layer = net.linear(net.input("x", {2, 4}), "w");
  Value* sum = net("aten.add.Tensor", layer, mask);
  Value* softmax = net("aten.softmax.int", sum, -1);
  net.returns({softmax});
  const Annotated done(net);
  EXPECT_EQ(done.rule(sum), "");
  EXPECT_EQ(done.rule(softmax), "exynos.softmax");
  EXPECT_TRUE(done.annotations.find_producer(softmax)->input_qspec_map.empty());
}

TEST(EnnQuantizer, PartsOfAResultAreQuantizedAlike) {
  Net net;
  Value* layer = net.linear(net.input("x", {2, 4}), "w");
  const Node& unbind = net.node("aten.unbind.int", {layer});
  net.returns({unbind.output(0), unbind.output(1)});
  const PreparedProgram prepared = prepare_pt2e(std::move(net.program), EnnQuantizer());
  const Graph& graph = prepared.program().graph();
  const Node* node = graph.find_value(layer->name())->users().front();
  for (const Value* part : node->outputs()) {
    ASSERT_EQ(prepared.internal().insertions.at(part).size(), 1U);
    EXPECT_EQ(prepared.internal().insertions.items[prepared.internal().insertions.at(part).front()].rule, "exynos.unbind");
  }
}

TEST(EnnQuantizer, WhatStaysInFloatSaysWhy) {
  Net net;
  Value* x = net.input("x", {2, 4});
  Value* silu = net("aten.silu.default", x);
  Value* computed = net("aten.linear.default", x, net.input("w", {4, 4}));
  Value* constant = net("aten.relu.default", net.weight("c", {4}));
  net.returns({silu, computed, constant});
  const Annotated done(net);
  EXPECT_EQ(*done.annotations.refusal(silu->producer()), "Exynos's quantizer has no rule for this op");
  EXPECT_EQ(*done.annotations.refusal(computed->producer()), "layer: the weight is a float constant");
  EXPECT_NE(done.annotations.refusal(constant->producer())->find("constants only"), std::string::npos);
}

TEST(EnnQuantizer, CustomAnnotationsComeLast) {
  Net net;
  Value* relu = net("aten.relu.default", net.input("x", {2, 4}));
  net.returns({relu});
  EnnQuantizer quantizer;
  quantizer.add_custom_quant_annotations(
      {[](const ExportedProgram& program, Annotations& annotations) { annotations.of(program.graph().node_list().front()) = {}; }});
  EXPECT_EQ(Annotated(net, quantizer).rule(relu), "");
}

}  // namespace
}  // namespace intaglio::exynos
