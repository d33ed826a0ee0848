// Calibration with fake quantization: what reads an observed tensor sees it as its observer's parameters of that moment make it.
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include <intaglio/pt2e.h>

#include "pt2e/specs_for_tests.h"
#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

class Annotating : public Quantizer {
 public:
  explicit Annotating(std::function<void(const Node&, QuantizationAnnotation&)> annotate) : annotate_(std::move(annotate)) {}
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    for (const Node* node : program.graph().node_list()) annotate_(*node, annotations.of(node));
  }

 private:
  std::function<void(const Node&, QuantizationAnnotation&)> annotate_;
};

QuantizationSpec whole_steps() { return test::int8_spec(-128, fake_quantize(min_max_observer(1.0))); }

std::vector<float> floats(const Tensor& tensor) { return {tensor.span<float>().begin(), tensor.span<float>().end()}; }

// x -> abs -> (neg, exp); abs is returned too.
ExportedProgram two_readers() {
  test::ProgramBuilder b;
  Value* x = b.input("x", {2});
  Value* positive = b.call("aten.abs.default", {{"self", x}}, {2}, "positive");
  Value* negative = b.call("aten.neg.default", {{"self", positive}}, {2}, "negative");
  return b.finish({b.call("aten.exp.default", {{"self", positive}}, {2}, "grown"), negative, positive});
}

std::vector<Tensor> calibrated(const Quantizer& quantizer) {
  return prepare_pt2e(two_readers(), quantizer)({Tensor::of<float>({0.7f, -2.2f}, {2})});
}

TEST(FakeQuantized, EveryReaderOfAResultSeesIt) {
  const Annotating quantizer([](const Node& node, QuantizationAnnotation& annotation) {
    if (node.is("aten.abs.default")) annotation.output_qspec = whole_steps();
  });
  const std::vector<Tensor> outputs = calibrated(quantizer);
  EXPECT_EQ(floats(outputs[1]), (std::vector<float>{-1, -2}));
  EXPECT_EQ(floats(outputs[2]), (std::vector<float>{1, 2}));
}

TEST(FakeQuantized, OneReaderAlone) {
  const Annotating quantizer([](const Node& node, QuantizationAnnotation& annotation) {
    if (node.is("aten.neg.default")) annotation.input_qspec_map = {{node.tensor("self"), whole_steps()}};
  });
  const std::vector<Tensor> outputs = calibrated(quantizer);
  EXPECT_EQ(floats(outputs[1]), (std::vector<float>{-1, -2}));
  EXPECT_EQ(floats(outputs[2]), (std::vector<float>{0.7f, 2.2f}));
  EXPECT_EQ(floats(outputs[0]), (std::vector<float>{std::exp(0.7f), std::exp(2.2f)}));
}

TEST(FakeQuantized, ConstantsAndInputs) {
  test::ProgramBuilder b;
  Value* x = b.input("x", {2});
  Value* weight = b.parameter("weight", Tensor::of<float>({2.6f, -0.4f}, {2}));
  ExportedProgram program = b.finish({b.call("aten.mul.Tensor", {{"self", x}, {"other", weight}}, {2}, "product")});
  const Annotating quantizer([](const Node& node, QuantizationAnnotation& annotation) {
    for (Value* operand : node.inputs()) annotation.input_qspec_map.emplace_back(operand, whole_steps());
  });
  PreparedProgram prepared = prepare_pt2e(std::move(program), quantizer);
  EXPECT_EQ(floats(prepared({Tensor::of<float>({1.4f, 20.2f}, {2})}).front()), (std::vector<float>{3, 0}));
  EXPECT_EQ(prepared.plan().entries.size(), 2u);
}

// The first sample makes a range up to 1, the second one up to 300, whose steps are wider.
TEST(FakeQuantized, ByTheParametersOfThatMoment) {
  const Annotating quantizer([](const Node& node, QuantizationAnnotation& annotation) {
    if (node.is("aten.abs.default")) annotation.output_qspec = test::int8_spec(-128, fake_quantize(min_max_observer()));
  });
  PreparedProgram prepared = prepare_pt2e(two_readers(), quantizer);
  const float fine = floats(prepared({Tensor::of<float>({0.5f, 1}, {2})})[2])[0];
  EXPECT_NEAR(fine, 0.5f, 0.002f);
  EXPECT_NE(fine, 0.5f);
  EXPECT_NEAR(floats(prepared({Tensor::of<float>({0.5f, 300}, {2})})[2])[0], 0.0f, 1e-6f);
}

}  // namespace
}  // namespace intaglio::pt2e
