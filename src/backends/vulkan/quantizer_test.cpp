#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/vulkan_quantizer.h>

#include "pt2e/printer.h"
#include "pt2e/uncalibrated.h"
#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio::vulkan {
namespace {

std::string text_of(const std::optional<QuantizationSpec>& spec) { return spec ? pt2e::to_string(AnyQuantizationSpec(*spec)) : "float"; }

TEST(VulkanQuantizer, ConfigHasExecuTorchsNumbers) {
  const QuantizationConfig weights = get_symmetric_quantization_config();
  EXPECT_EQ(text_of(weights.weight), "int8 per_channel_symmetric [-128, 127] axis 0 per_channel_min_max");
  EXPECT_EQ(text_of(weights.input_activation), "float");
  EXPECT_EQ(text_of(weights.output_activation), "float");
  const QuantizationConfig dynamic = get_symmetric_quantization_config({.is_dynamic = true, .weight_bits = 4, .act_qmax = 100});
  EXPECT_EQ(text_of(dynamic.weight), "int8 per_channel_symmetric [-8, 7] axis 0 per_channel_min_max");
  EXPECT_EQ(text_of(dynamic.input_activation), "int8 per_tensor_affine [-128, 100] placeholder dynamic");
  EXPECT_EQ(text_of(dynamic.output_activation), "float");
  EXPECT_EQ(text_of(get_symmetric_quantization_config({.weight_qmin = -127}).weight),
            "int8 per_channel_symmetric [-127, 127] axis 0 per_channel_min_max");
}

TEST(VulkanQuantizer, BadSettingsAreUsageErrors) {
  const auto refusal = [](const SymmetricQuantizationOptions& options) {
    return test::refusal_of(ErrorKind::usage, [&] { get_symmetric_quantization_config(options); });
  };
  EXPECT_EQ(refusal({.weight_bits = 3}), "weight_bits=3: Vulkan's weights have 8 or 4 bits");
  EXPECT_NE(refusal({.act_bits = 16}).find("act_bits=16"), std::string::npos);
  EXPECT_NE(refusal({.weight_qmin = 1}).find("weight_qmin"), std::string::npos);
  EXPECT_NE(refusal({.weight_qmax = 128}).find("[-128, 127]"), std::string::npos);
  EXPECT_NE(refusal({.is_dynamic = true, .act_qmin = 0, .act_qmax = 0}).find("act_qmin"), std::string::npos);
}

struct LinearNet : test::ProgramBuilder {
  Value* linear(Value* x, Value* weight) { return (*this)("aten.linear.default", x, weight); }
};

PreparedProgram prepared(LinearNet& net, const QuantizationConfig& config, Compat compat = Compat::intaglio) {
  VulkanQuantizer quantizer(compat);
  quantizer.set_global(config);
  return prepare_pt2e(std::move(net.program), quantizer, {.compat = compat});
}

TEST(VulkanQuantizer, LinearsAloneAreTakenAndNumbersBecomeBuffers) {
  LinearNet net;
  Value* sum = net("aten.add.Tensor", net.linear(net.input("x", {2, 4}), net.weight("w", {3, 4})), 0.5);
  net.returns({net("aten.relu.default", sum)});
  const PreparedProgram program = prepared(net, get_symmetric_quantization_config());
  std::vector<std::string> annotated;
  for (const Node* node : program.program().graph().node_list())
    if (const QuantizationAnnotation* annotation = pt2e::annotations_of(program).find(node); annotation && annotation->annotated)
      annotated.push_back(node->name());
  EXPECT_EQ(annotated, std::vector<std::string>{"linear"});
  EXPECT_TRUE(program.program().state.contains("_tensor_constant_0"));
}

TEST(VulkanQuantizer, AResultThatIsQuantizedPassesItsParametersOn) {
  QuantizationConfig config = get_symmetric_quantization_config({.is_dynamic = true});
  config.output_activation = config.input_activation;
  for (const Compat compat : {Compat::intaglio, Compat::torchao}) {
    LinearNet net;
    net.returns({net("aten.relu.default", net.linear(net.input("x", {2, 4}), net.weight("w", {3, 4})))});
    const PreparedProgram program = prepared(net, config, compat);
    const Node* relu = program.program().graph().find_value("relu")->producer();
    EXPECT_EQ(pt2e::annotations_of(program).find(relu)->rule, "vulkan.sharing");
  }
}

TEST(VulkanQuantizer, AComputedWeightStaysInFloat) {
  LinearNet net;
  Value* x = net.input("x", {2, 4});
  Value* y = net.linear(x, net.input("w", {3, 4}));
  net.returns({y});
  VulkanQuantizer quantizer;
  quantizer.set_global(get_symmetric_quantization_config());
  Annotations annotations;
  quantizer.annotate(net.program, annotations);
  EXPECT_FALSE(annotations.is_annotated(y->producer()));
  EXPECT_EQ(*annotations.refusal(y->producer()), "linear: the weight is a float constant, the input is float");
}

}  // namespace
}  // namespace intaglio::vulkan
