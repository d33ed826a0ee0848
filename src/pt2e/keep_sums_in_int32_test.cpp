#include "pt2e/steps.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <intaglio/pt2e.h>

#include "ir/parser.h"

namespace intaglio::pt2e {
namespace {

// Inputs and weights of linear layers, and their results where inputs are static.
class LinearQuantizer : public Quantizer {
 public:
  explicit LinearQuantizer(bool dynamic) : dynamic_(dynamic) {}
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    QuantizationSpec activation{.observer = dynamic_ ? placeholder_observer() : min_max_observer(), .quant_min = -128, .quant_max = 127};
    activation.is_dynamic = dynamic_;
    QuantizationSpec weight{.observer = per_channel_min_max_observer(), .quant_min = -127, .quant_max = 127};
    weight.qscheme = QScheme::per_channel_symmetric;
    weight.ch_axis = 0;
    for (const Node* node : program.graph().node_list()) {
      if (!node->is("aten.linear.default")) continue;
      QuantizationAnnotation& annotation = annotations.of(node);
      annotation.input_qspec_map = {{node->tensor("input"), activation}, {node->tensor("weight"), weight}};
      if (!dynamic_) annotation.output_qspec = activation;
      annotation.annotated = true;
    }
  }

 private:
  bool dynamic_;
};

struct Outcome {
  ExportedProgram program;
  std::vector<std::string> warnings;

  std::vector<float> scales() const {
    for (const InputSpec& spec : program.input_specs)
      if (spec.target.starts_with("_scale_")) {
        const auto scales = program.constant(spec.value)->span<float>();
        return {scales.begin(), scales.end()};
      }
    return {};
  }
  size_t count(std::string_view op) const {
    size_t found = 0;
    for (const Node* node : program.graph().node_list()) found += node->is(op);
    return found;
  }
};

Outcome convert(const std::string& program, const Tensor& sample, bool dynamic = false, Compat compat = Compat::intaglio,
                std::optional<double> planned_scale = std::nullopt) {
  Outcome outcome;
  PreparedProgram prepared = prepare_pt2e(parse_program(program), LinearQuantizer(dynamic),
                                          {.compat = compat, .threads = 1, .warn = [&](const auto& w) { outcome.warnings.push_back(w); }});
  prepared({sample});
  Plan plan = prepared.plan();
  for (PlanEntry& entry : plan.entries)
    if (planned_scale && entry.tensor == "w") std::ranges::fill(entry.qparams.scale, *planned_scale);
  prepared.apply_plan(plan);
  outcome.program = convert_pt2e(std::move(prepared));
  return outcome;
}

Tensor sample() { return Tensor::of<float>({0.0f, 2.55e-4f}, {1, 2}); }  // a scale of 1e-6

// Weights of 1 have a scale of 1/127: int32 holds a bias of 16.9 beside them.
constexpr double most = 2147483647.0 * 1e-6 / 127;

std::string layer(double bias) {
  return "parameter %w: f32[2, 2] 'l.weight' = full(1.0)\nparameter %b: f32[2] 'l.bias' = [" + std::to_string(bias) +
         ", 1.0]\nuser %x: f32[1, 2]\n"
         "%y = aten.linear.default(%x, %w, %b) in 'l' (torch.nn.modules.linear.Linear)\noutput user %y\n";
}

TEST(KeepSumsInInt32, ScalesThatFitStay) {
  const Outcome outcome = convert(layer(0.99 * most), sample());
  EXPECT_TRUE(outcome.warnings.empty());
  EXPECT_EQ(outcome.scales(), convert(layer(0.99 * most), sample(), false, Compat::torchao).scales());
}

TEST(KeepSumsInInt32, TheChannelOfALargeBiasGetsALargerScale) {
  for (const double factor : {1.01, 100.0}) {
    const Outcome outcome = convert(layer(factor * most), sample());
    ASSERT_EQ(outcome.warnings.size(), 1u);
    EXPECT_NE(outcome.warnings[0].find("layer 'l'"), std::string::npos) << outcome.warnings[0];
    EXPECT_NE(outcome.warnings[0].find("1 of 2 weight scales raised"), std::string::npos) << outcome.warnings[0];
    EXPECT_NEAR(outcome.scales()[0] * 127 / factor, 1, 1e-3);
    EXPECT_FLOAT_EQ(outcome.scales()[1], 1.0f / 127);
    EXPECT_FLOAT_EQ(convert(layer(factor * most), sample(), false, Compat::torchao).scales()[0], 1.0f / 127);
  }
}

TEST(KeepSumsInInt32, APlansScaleIsRaisedToo) {
  const Outcome outcome = convert(layer(0.5 * most), sample(), false, Compat::intaglio, 0.1 / 127);
  EXPECT_EQ(outcome.warnings.size(), 1u);
  EXPECT_NEAR(outcome.scales()[0] * 127, 0.5, 1e-3);
  EXPECT_FLOAT_EQ(outcome.scales()[1], 0.1f / 127);
}

TEST(KeepSumsInInt32, LayersThatShareAWeightFitAllOfThem) {
  const std::string program = "parameter %w: f32[2, 2] 'l.weight' = full(1.0)\nparameter %b: f32[2] 'l.bias' = [" +
                              std::to_string(2 * most) + ", 0.0]\nparameter %c: f32[2] 'm.bias' = [" + std::to_string(5 * most) +
                              ", 0.0]\nuser %x: f32[1, 2]\n%y = aten.linear.default(%x, %w, %b)\n"
                              "%z = aten.linear.default(%x, %w, %c)\noutput user %y\noutput user %z\n";
  const Outcome outcome = convert(program, sample());
  EXPECT_EQ(outcome.warnings.size(), 2u);
  EXPECT_NEAR(outcome.scales()[0] * 127, 5, 1e-2);
}

TEST(KeepSumsInInt32, LongRowsStayInFloatWithTheirInput) {
  const std::string program =
      "parameter %w: f32[1, 400000] 'l.weight' = full(1.0)\nuser %x: f32[1, 400000]\n"
      "%y = aten.linear.default(%x, %w) in 'l' (torch.nn.modules.linear.Linear)\noutput user %y\n";
  const Tensor input = Tensor::zeros(DType::float32, {1, 400000});
  for (const bool dynamic : {false, true}) {
    const Outcome outcome = convert(program, input, dynamic);
    EXPECT_TRUE(outcome.scales().empty());
    EXPECT_EQ(outcome.count("quantized_decomposed.choose_qparams.tensor"), 0u);
    // A static input and result are what neighbours read and give.
    EXPECT_EQ(outcome.count("quantized_decomposed.quantize_per_tensor.default"), dynamic ? 0u : 2u);
    const auto said = [](const std::string& warning) {
      return warning.find("layer 'l'") != std::string::npos && warning.find("stays in float") != std::string::npos;
    };
    EXPECT_EQ(std::ranges::count_if(outcome.warnings, said), 1);
  }
}

}  // namespace
}  // namespace intaglio::pt2e
