// Prepare and convert on whole programs, with statistics fed by hand; convert.test shows a network.
#include <cmath>

#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "ir/parser.h"
#include "pt2e/networks_for_tests.h"
#include "pt2e/prepared.h"
#include "pt2e/specs_for_tests.h"
#include "pt2e/state_text_for_tests.h"
#include "testing/text_cases.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

QuantizationSpec weight_spec() {
  QuantizationSpec spec;
  spec.quant_min = -127;
  spec.quant_max = 127;
  spec.qscheme = QScheme::per_channel_symmetric;
  spec.ch_axis = 0;
  spec.observer = per_channel_min_max_observer(0.000244140625);
  return spec;
}

// Annotates what its function says.
class TestQuantizer : public Quantizer {
 public:
  using Function = std::function<void(const ExportedProgram&, Annotations&)>;
  explicit TestQuantizer(Function function) : function_(std::move(function)) {}
  void annotate(const ExportedProgram& program, Annotations& annotations) const override { function_(program, annotations); }

 private:
  Function function_;
};

Node* node_named(const ExportedProgram& program, const std::string& name) {
  Value* value = program.graph().find_value(name);
  return value == nullptr ? nullptr : value->producer();
}

// Both operands of every add, weights and activations of every convolution and linear layer, and their outputs.
void annotate_all(const ExportedProgram& program, Annotations& annotations) {
  for (Node* node : program.graph().node_list()) {
    QuantizationAnnotation annotation;
    annotation.rule = "test." + std::string(node->op().base());
    if (node->is("aten.conv2d.default") || node->is("aten.linear.default")) {
      annotation.input_qspec_map = {{node->tensor("input"), narrow_steps_spec()}, {node->tensor("weight"), weight_spec()}};
      if (Value* bias = node->optional_tensor("bias")) annotation.input_qspec_map.emplace_back(bias, std::nullopt);
      annotation.output_qspec = narrow_steps_spec();
    } else if (node->is("aten.add.Tensor")) {
      annotation.input_qspec_map = {{node->tensor("self"), narrow_steps_spec()}, {node->tensor("other"), narrow_steps_spec()}};
      annotation.output_qspec = narrow_steps_spec();
    } else {
      continue;
    }
    annotations.of(node) = annotation;
  }
}

// Feeds every observed value of a node or user input the same small range of its own.
void feed(PreparedProgram& prepared) {
  PreparedProgram::State& state = prepared.internal();
  observe_constants(state);
  float top = 1.0f;
  const auto feed_value = [&](const Value* value) {
    if (state.insertions.at(value).empty() || state.program.is_constant(value)) return;
    observe_value(state, value, Tensor::of<float>({-0.5f * top, 0.0f, top}, {3}));
    top += 1.0f;
  };
  for (const Value* input : state.program.graph().inputs()) feed_value(input);
  for (const Node* node : state.program.graph().node_list()) feed_value(node->output());
  state.samples = 1;
}

std::string prepared_text(const std::vector<std::string>& steps, const std::string& input) {
  PreparedProgram prepared = prepare_pt2e(parse_program(input), TestQuantizer(annotate_all));
  if (steps == std::vector<std::string>{"prepare"}) return to_string(prepared.program()) + to_string(prepared.internal());
  feed(prepared);
  return to_string(convert_pt2e(std::move(prepared)));
}

const bool convert_registered = register_text_cases("Convert", "src/pt2e/convert.test", prepared_text);

TEST(Convert, WeightsBecomeIntegersAndFloatOriginalsGo) {
  PreparedProgram prepared = prepare_pt2e(residual_network(), TestQuantizer(annotate_all));
  const Tensor weight = prepared.program().state.find("fc.weight")->tensor;
  feed(prepared);
  const ExportedProgram converted = convert_pt2e(std::move(prepared));
  EXPECT_EQ(converted.state.find("fc.weight"), nullptr);
  ASSERT_NE(converted.state.find("fc.bias"), nullptr);
  const Value* frozen = node_named(converted, "linear")->tensor("weight")->producer()->tensor("input");
  const Tensor& integers = *converted.constant(frozen);
  ASSERT_EQ(integers.dtype(), DType::int8);
  const Tensor& scales = *converted.constant(node_named(converted, "linear")->tensor("weight")->producer()->tensor("scales"));
  ASSERT_EQ(scales.sizes(), (Sizes{5}));
  for (int row = 0; row < 5; ++row)
    for (int i = 0; i < 4; ++i) {
      const float value = weight.span<float>()[row * 4 + i];
      EXPECT_NEAR(integers.span<int8_t>()[row * 4 + i] * scales.span<float>()[row], value, scales.span<float>()[row] * 0.5f + 1e-6f);
    }
  const Value* zero_points = node_named(converted, "linear")->tensor("weight")->producer()->tensor("zero_points");
  EXPECT_EQ(converted.constant(zero_points)->dtype(), DType::int64);
}

TEST(Convert, EveryAnnotatedUserHasADequantizeOfItsOwn) {
  PreparedProgram prepared = prepare_pt2e(residual_network(), TestQuantizer(annotate_all));
  feed(prepared);
  const ExportedProgram converted = convert_pt2e(std::move(prepared));
  const Value* to_conv = node_named(converted, "conv2d_1")->tensor("input");
  const Value* to_add = node_named(converted, "add")->tensor("other");
  EXPECT_NE(to_conv, to_add);
  EXPECT_EQ(to_conv->producer()->tensor("input"), to_add->producer()->tensor("input"));
  EXPECT_TRUE(to_conv->has_one_user());
  EXPECT_EQ(layer_name(*to_conv->producer()), "c2");  // named after its consumer
}

TEST(Convert, NeverObservedIsAnErrorThatNamesTheLayer) {
  PreparedProgram prepared = prepare_pt2e(residual_network(), TestQuantizer(annotate_all));
  try {
    convert_pt2e(std::move(prepared));
    FAIL() << "converted without calibration";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_NE(std::string(error.what()).find("never observed"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("c1"), std::string::npos) << error.what();
  }
}

// torchao only warns and writes scale 1.
TEST(Convert, NeverObservedUnderTorchaoHasScaleOne) {
  std::vector<std::string> warnings;
  PrepareOptions options{.compat = Compat::torchao, .warn = [&](const std::string& line) { warnings.push_back(line); }};
  const ExportedProgram converted = convert_pt2e(prepare_pt2e(residual_network(), TestQuantizer(annotate_all), options));
  EXPECT_FALSE(warnings.empty());
  const Node* dequantize = node_named(converted, "linear")->tensor("weight")->producer();
  EXPECT_EQ(converted.constant(dequantize->tensor("scales"))->sizes(), (Sizes{1}));
  EXPECT_EQ(converted.constant(dequantize->tensor("scales"))->item_as_double(), 1.0);
}

TEST(Convert, WeightOnlyNeedsNoSamples) {
  const TestQuantizer quantizer([](const ExportedProgram& program, Annotations& annotations) {
    Node* linear = node_named(program, "linear");
    annotations.of(linear).input_qspec_map = {{linear->tensor("weight"), weight_spec()}};
  });
  const ExportedProgram converted = convert_pt2e(prepare_pt2e(residual_network(), quantizer));
  EXPECT_EQ(node_named(converted, "linear")->tensor("weight")->producer()->op().base(), "dequantize_per_channel");
}

TEST(Convert, UnfoldedWeightsKeepTheirQuantizeNodes) {
  PreparedProgram prepared = prepare_pt2e(residual_network(), TestQuantizer(annotate_all));
  feed(prepared);
  const ExportedProgram converted = convert_pt2e(std::move(prepared), {.fold_quantize = false});
  const Node* dequantize = node_named(converted, "linear")->tensor("weight")->producer();
  EXPECT_EQ(dequantize->tensor("input")->producer()->op().base(), "quantize_per_channel");
  EXPECT_NE(converted.state.find("fc.weight"), nullptr);
}

TEST(Convert, InfiniteRangeIsAnErrorAndAConstantOneAWarning) {
  const TestQuantizer quantizer([](const ExportedProgram& program, Annotations& annotations) {
    annotations.of(node_named(program, "linear")).output_qspec = narrow_steps_spec();
  });
  std::vector<std::string> warnings;
  PrepareOptions options{.warn = [&](const std::string& line) { warnings.push_back(line); }};
  PreparedProgram constant = prepare_pt2e(residual_network(), quantizer, options);
  observe_value(constant.internal(), constant.program().graph().find_value("linear"), Tensor::of<float>({3.0f, 3.0f}, {2}));
  convert_pt2e(std::move(constant));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("fc"), std::string::npos) << warnings[0];

  PreparedProgram infinite = prepare_pt2e(residual_network(), quantizer);
  observe_value(infinite.internal(), infinite.program().graph().find_value("linear"), Tensor::of<float>({3.0f, HUGE_VALF}, {2}));
  try {
    convert_pt2e(std::move(infinite));
    FAIL() << "an infinite range was taken";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("its observed range is [3, inf]; a finite range is needed"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("'fc'"), std::string::npos) << error.what();
  }
}

TEST(Convert, TwoSpecsOnOneTensorStackTheirNodes) {
  const TestQuantizer quantizer([](const ExportedProgram& program, Annotations& annotations) {
    QuantizationSpec narrow = narrow_steps_spec();
    narrow.quant_min = -64;
    annotations.of(node_named(program, "relu")).output_qspec = narrow_steps_spec();
    annotations.of(node_named(program, "add")).input_qspec_map = {{program.graph().find_value("relu"), narrow}};
  });
  PreparedProgram prepared = prepare_pt2e(residual_network(), quantizer);
  feed(prepared);
  const ExportedProgram converted = convert_pt2e(std::move(prepared));
  const Node* inner = node_named(converted, "add")->tensor("other")->producer();
  EXPECT_EQ(inner->integer("quant_min"), -64);
  const Node* outer = inner->tensor("input")->producer()->tensor("input")->producer();
  EXPECT_EQ(outer->op().base(), "dequantize_per_tensor");
  EXPECT_EQ(outer->integer("quant_min"), -128);
  EXPECT_EQ(node_named(converted, "conv2d_1")->tensor("input")->producer()->integer("quant_min"), -128);
}

TEST(Convert, FixedAndDerivedParameters) {
  const TestQuantizer quantizer([](const ExportedProgram& program, Annotations& annotations) {
    Node* linear = node_named(program, "linear");
    FixedQParamsQuantizationSpec fixed;
    fixed.dtype = DType::uint8;
    fixed.scale = 1.0 / 256;
    fixed.quant_min = 0;
    fixed.quant_max = 255;
    DerivedQuantizationSpec bias;
    bias.derived_from = {QuantEdge{linear->tensor("input"), linear}, QuantEdge{linear->tensor("weight"), linear}};
    bias.quant_min = INT32_MIN;
    bias.quant_max = INT32_MAX;
    bias.qscheme = QScheme::per_channel_symmetric;
    bias.ch_axis = 0;
    bias.derive_qparams = [](const std::vector<QuantParams>& sources) {
      QuantParams params;
      for (const double scale : sources[1].scale) params.scale.push_back(scale * sources[0].scale[0]);
      params.zero_point.assign(params.scale.size(), 0);
      return params;
    };
    annotations.of(linear).input_qspec_map = {
        {linear->tensor("input"), narrow_steps_spec()}, {linear->tensor("weight"), weight_spec()}, {linear->tensor("bias"), bias}};
    annotations.of(linear).output_qspec = fixed;
  });
  PreparedProgram prepared = prepare_pt2e(residual_network(), quantizer);
  feed(prepared);
  const ExportedProgram converted = convert_pt2e(std::move(prepared));
  const Node* linear = node_named(converted, "linear");
  const Node* bias = linear->tensor("bias")->producer();
  EXPECT_EQ(converted.constant(bias->tensor("input"))->dtype(), DType::int32);
  const float input_scale = static_cast<float>(linear->tensor("input")->producer()->number("scale"));
  const Tensor& weight_scales = *converted.constant(linear->tensor("weight")->producer()->tensor("scales"));
  const Tensor& bias_scales = *converted.constant(bias->tensor("scales"));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(bias_scales.span<float>()[i], weight_scales.span<float>()[i] * input_scale);
  const Node* output = linear->output()->users().front();
  EXPECT_EQ(output->number("scale"), 1.0 / 256);
  EXPECT_EQ(output->optional_dtype("dtype"), DType::uint8);
}

TEST(Convert, DynamicSpecsChooseParametersAtRunTime) {
  const TestQuantizer quantizer([](const ExportedProgram& program, Annotations& annotations) {
    Node* linear = node_named(program, "linear");
    QuantizationSpec dynamic = narrow_steps_spec();
    dynamic.observer = placeholder_observer(0.000244140625);
    dynamic.is_dynamic = true;
    annotations.of(linear).input_qspec_map = {{linear->tensor("input"), dynamic}, {linear->tensor("weight"), weight_spec()}};
  });
  const ExportedProgram converted = convert_pt2e(prepare_pt2e(residual_network(), quantizer));
  const Node* dequantize = node_named(converted, "linear")->tensor("input")->producer();
  ASSERT_TRUE(dequantize->is("quantized_decomposed.dequantize_per_tensor.tensor"));
  const Node* choose = dequantize->tensor("scale")->producer();
  ASSERT_TRUE(choose->is("quantized_decomposed.choose_qparams.tensor"));
  EXPECT_EQ(choose->number("eps"), 0.000244140625);
  EXPECT_EQ(choose->output(1)->dtype(), DType::int64);
}

TEST(Convert, MissingObserverOrIntegerTensorIsAUsageError) {
  const TestQuantizer without([](const ExportedProgram& program, Annotations& annotations) {
    annotations.of(node_named(program, "linear")).output_qspec = QuantizationSpec{};
  });
  EXPECT_THROW(prepare_pt2e(residual_network(), without), Error);

  ProgramBuilder b;
  Value* x = b.input("x", {2}, DType::int64);
  Value* y = b.call("aten.relu.default", {{"self", x}}, {{2}, DType::int64}, "relu");
  const TestQuantizer on_integers([](const ExportedProgram& program, Annotations& annotations) {
    annotations.of(node_named(program, "relu")).output_qspec = narrow_steps_spec();
  });
  EXPECT_THROW(prepare_pt2e(b.finish({y}), on_integers), Error);
}

TEST(Convert, InfiniteValuesThatAHistogramLeavesOutAreCounted) {
  const TestQuantizer quantizer([](const ExportedProgram& program, Annotations& annotations) {
    QuantizationSpec spec = narrow_steps_spec();
    spec.observer = histogram_observer();
    annotations.of(node_named(program, "linear")).output_qspec = spec;
  });
  std::vector<std::string> warnings;
  PreparedProgram prepared =
      prepare_pt2e(residual_network(), quantizer, {.warn = [&](const std::string& line) { warnings.push_back(line); }});
  observe_value(prepared.internal(), prepared.program().graph().find_value("linear"),
                Tensor::of<float>({3, -HUGE_VALF, 1, HUGE_VALF}, {4}));
  convert_pt2e(std::move(prepared));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("2 of its values were infinite"), std::string::npos) << warnings[0];
}

}  // namespace
}  // namespace intaglio::pt2e
