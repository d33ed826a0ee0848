// Calibration with fake quantization on: what runs behind an observer sees what the observer makes of a tensor.
#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

// Lets nothing but zeros through.
class Zeroing : public Observer {
 public:
  using Observer::Observer;
  std::string_view kind() const override { return "zeroing"; }
  void observe(const Tensor&) override { observed_ = true; }
  bool has_observed() const override { return observed_; }
  std::optional<Tensor> replacement(const Tensor& tensor) const override { return Tensor::zeros(tensor.dtype(), tensor.sizes()); }
  QuantParams calculate_qparams() const override { return {}; }
  ObservedStatistics statistics() const override { return {}; }
  std::unique_ptr<Observer> clone() const override { return std::make_unique<Zeroing>(*this); }

 private:
  bool observed_ = false;
};

// On results of every op, or (inputs) on what each op reads.
class ZeroingQuantizer : public Quantizer {
 public:
  explicit ZeroingQuantizer(bool inputs) : inputs_(inputs) {}
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    QuantizationSpec spec;
    spec.observer = {"zeroing", [](const ObserverSettings& settings) { return std::make_unique<Zeroing>(settings); }, std::nullopt};
    for (const Node* node : program.graph().node_list()) {
      QuantizationAnnotation& annotation = annotations.of(node);
      if (inputs_) annotation.input_qspec_map = {{node->tensor("self"), spec}};
      else annotation.output_qspec = spec;
      annotation.annotated = true;
    }
  }

 private:
  bool inputs_;
};

ExportedProgram exp_of_relu() {
  test::ProgramBuilder b;
  Value* x = b.input("x", {2});
  Value* positive = b.call("aten.relu.default", {{"self", x}}, {2}, "positive");
  return b.finish({b.call("aten.exp.default", {{"self", positive}}, {2}, "grown"), positive});
}

TEST(Replacement, LaterNodesSeeIt) {
  PreparedProgram prepared = prepare_pt2e(exp_of_relu(), ZeroingQuantizer(false));
  const std::vector<Tensor> outputs = prepared({Tensor::of<float>({1, 2}, {2})});
  for (const Tensor& output : outputs)
    for (const float value : output.span<float>()) EXPECT_EQ(value, 0.0f);
}

TEST(Replacement, ForSomeUsersIsRefused) {
  PreparedProgram prepared = prepare_pt2e(exp_of_relu(), ZeroingQuantizer(true));
  try {
    prepared({Tensor::of<float>({1, 2}, {2})});
    FAIL() << "a replacement for one user was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    EXPECT_NE(std::string(error.what()).find("stands for all users"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace intaglio::pt2e
