#include "backends/vulkan/quantized_patterns.h"

#include <gtest/gtest.h>

#include "backends/vulkan/quantized_layer.h"
#include "testing/program_builder.h"
#include "testing/text_cases.h"

namespace intaglio::vulkan {
namespace {

const bool layers_registered = test::register_text_cases("QuantizedLayers", "src/backends/vulkan/quantized_layers.test",
                                                         test::program_passes({{"fuse_quantized_layers", fuse_quantized_layers}}));

struct WeightForm {
  int64_t rows = 8, columns = 32, group_size = 8, qmin = -8, qmax = 7;
  int8_t zero_point = 0;
  DType type = DType::float32;
};

struct WeightNet : test::ProgramBuilder {
  // torchao's form of a weight with ones.
  Value* torchaos_weight(const WeightForm& form) {
    const Sizes groups = {form.rows, form.columns / form.group_size};
    const std::vector<int8_t> zeros(static_cast<size_t>(element_count(groups)), form.zero_point);
    Value* q = parameter("q", Tensor::zeros(DType::int8, {form.rows, form.columns}));
    Value* s = parameter("s", converted(test::ramp(groups, 1, 0.5f), form.type));
    Value* z = parameter("z", Tensor::of<int8_t>(std::span<const int8_t>(zeros), groups));
    std::vector<Argument> arguments = {q, std::vector<int64_t>{1, form.group_size}, s, z, DType::int8, form.qmin, form.qmax};
    if (form.type != DType::float32) arguments.emplace_back(form.type);
    return node("torchao.dequantize_affine.default", std::move(arguments)).output();
  }
  Node& linear(const WeightForm& form, test::Meta input) {
    input.dtype = form.type;
    Value* x = this->input("x", std::move(input));
    Value* y = (*this)("aten.linear.default", x, torchaos_weight(form));
    returns({y});
    return *y->producer();
  }
  Node& lookup(const WeightForm& form) {
    Value* ids = input("ids", {5}, DType::int64);
    Value* rows = (*this)("aten.embedding.default", torchaos_weight(form), ids);
    returns({rows});
    return *rows->producer();
  }
};

std::string pattern_refusal(const WeightNet& net, const Node& node) {
  const common::ProgramFacts facts(net.program);
  const QuantizedPatterns patterns(facts);
  const std::string* why = patterns.refusal(node);
  EXPECT_EQ(why == nullptr, patterns.contains(node));
  return why ? *why : "";
}
std::string refusal_of_linear(const WeightForm& form, test::Meta input = {5, 32}) {
  WeightNet net;
  const Node& node = net.linear(form, std::move(input));
  return pattern_refusal(net, node);
}
std::string refusal_of_lookup(const WeightForm& form) {
  WeightNet net;
  const Node& node = net.lookup(form);
  return pattern_refusal(net, node);
}

TEST(QuantizedPatterns, BothSidesOfEachLimitOfLinears) {
  EXPECT_EQ(refusal_of_linear({}), "");
  EXPECT_EQ(refusal_of_linear({.group_size = 4}), "");
  EXPECT_EQ(refusal_of_linear({.group_size = 2}), "the runtime takes groups of a multiple of 4, not of 2");
  EXPECT_EQ(refusal_of_linear({.columns = 6, .group_size = 6}, {5, 6}), "");
  EXPECT_EQ(refusal_of_linear({.rows = 7}), "");
  EXPECT_EQ(refusal_of_linear({.group_size = 32, .qmin = -128, .qmax = 127}), "");
  EXPECT_EQ(refusal_of_linear({.qmin = -128, .qmax = 127}),
            "the runtime takes groups of weights with 4 bits or fewer, not [-128, 127]: choose PerAxis(0)");
  EXPECT_EQ(refusal_of_linear({.zero_point = 1}), "the runtime has no zero points for weights: choose a symmetric mapping type");
  EXPECT_EQ(refusal_of_linear({.type = DType::float16}), "");
  EXPECT_EQ(refusal_of_linear({.type = DType::bfloat16}), "the runtime computes in float32 and float16");
  EXPECT_EQ(refusal_of_linear({}, {2, 3, 5, 32}), "");
}

TEST(QuantizedPatterns, BothSidesOfEachLimitOfTables) {
  EXPECT_EQ(refusal_of_lookup({}), "");
  EXPECT_EQ(refusal_of_lookup({.columns = 48}), "the runtime looks up rows of a multiple of 32");
  EXPECT_EQ(refusal_of_lookup({.group_size = 32, .qmin = -128, .qmax = 127}),
            "the runtime looks up rows of 4 bits, not of 8: choose int4 to delegate them");
  EXPECT_EQ(refusal_of_lookup({.zero_point = -1}), "the runtime has no zero points for weights: choose a symmetric mapping type");
}

TEST(QuantizedPatterns, FloatLayersAreNone) {
  WeightNet net;
  Value* y = net("aten.linear.default", net.input("x", {2, 3}), net.parameter("w", {4, 3}));
  net.returns({y});
  const common::ProgramFacts facts(net.program);
  const QuantizedPatterns patterns(facts);
  EXPECT_FALSE(patterns.contains(*y->producer()));
  EXPECT_EQ(patterns.refusal(*y->producer()), nullptr);
  EXPECT_TRUE(patterns.ties().empty());
  EXPECT_FALSE(patterns.warning());
}

TEST(QuantizedPatterns, WhatQuantizesAnInputGoesAlongAndIsToldOfWhereItIsDropped) {
  for (const bool by_rows : {false, true}) {
    WeightNet net;
    Value* x = net.input("x", {5, 32});
    Value* y = net("aten.linear.default", by_rows ? net.dynamic_rows(x) : net.dynamic_qdq(x), net.torchaos_weight({}));
    net.returns({y});
    const common::ProgramFacts facts(net.program);
    const QuantizedPatterns patterns(facts);
    for (const Node* node : net.program.graph().node_list()) EXPECT_TRUE(patterns.contains(*node)) << to_string(*node);
    ASSERT_EQ(patterns.ties().size(), 1u);
    EXPECT_EQ(patterns.ties()[0].size(), net.program.graph().size());
    EXPECT_EQ(patterns.warning().has_value(), !by_rows);
  }
}

}  // namespace
}  // namespace intaglio::vulkan
