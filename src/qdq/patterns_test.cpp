#include "qdq/patterns.h"

#include <gtest/gtest.h>

#include "decompose/builder.h"

namespace intaglio::qdq {
namespace {

class Program {
 public:
  ExportedProgram program;
  GraphBuilder build{program, nullptr, program.graph().output_node()};
  Value* x = input("x");

  Value* input(const char* name) {
    Value* value =
        program.graph().add_input(program.graph().inputs().size(), {.meta = TensorMeta::contiguous(DType::float32, {2, 3}), .name = name});
    program.input_specs.push_back({.kind = InputSpec::Kind::user_input, .value = value});
    return value;
  }
  Value* quantize(Value* v, double scale) {
    return build("quantized_decomposed.quantize_per_tensor.default", v, scale, 4, -128, 127, DType::int8);
  }
  Value* dequantize(Value* q, double scale) {
    return build("quantized_decomposed.dequantize_per_tensor.default", q, scale, 4, -128, 127, DType::int8);
  }
};

bool is_relu(const Node& node) { return node.is("aten.relu.default"); }

TEST(QdqPatterns, ParametersPerTensorKeepTheDouble) {
  Program p;
  const Value* y = p.dequantize(p.quantize(p.x, 0.1), 0.1);
  const auto seen = dequantized(p.program, y);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->params.scale, (std::vector<double>{0.1}));
  EXPECT_EQ(seen->params.zero_point, (std::vector<int64_t>{4}));
  EXPECT_FALSE(seen->params.is_per_channel());
  EXPECT_TRUE(is_quantize(*seen->source->producer()));
  EXPECT_FALSE(dequantized(p.program, p.x));
}

TEST(QdqPatterns, ParametersPerChannelComeFromConstants) {
  Program p;
  Value* data = p.program.add_buffer("w", Tensor::zeros(DType::int8, {2, 3}));
  Value* scale = p.program.add_buffer("s", Tensor::of<float>({0.5f, 0.25f, 2}, {3}));
  Value* zero = p.program.add_buffer("z", Tensor::of<int64_t>({0, 1, 2}, {3}));
  const Value* w = p.build("quantized_decomposed.dequantize_per_channel.default", data, scale, zero, -1, -127, 127, DType::int8);
  const auto params = params_of(p.program, *w->producer());
  ASSERT_TRUE(params);
  EXPECT_EQ(params->axis, 1);
  EXPECT_EQ(params->scale, (std::vector<double>{0.5, 0.25, 2}));
  EXPECT_EQ(params->zero_point, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(params->quant_min, -127);
}

TEST(QdqPatterns, DynamicQuantizationIsThreeNodes) {
  Program p;
  const Node& choose = p.build.node("quantized_decomposed.choose_qparams.tensor", {p.x, -128, 127, 1e-4, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  Value* q = p.build("quantized_decomposed.quantize_per_tensor.tensor", p.x, scale, zero, -128, 127, DType::int8);
  Value* y = p.build("quantized_decomposed.dequantize_per_tensor.tensor", q, scale, zero, -128, 127, DType::int8);
  p.build("aten.relu.default", y);
  const auto seen = dynamic_of(y);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->source, p.x);
  EXPECT_EQ(seen->choose, &choose);
  EXPECT_EQ(seen->quantize, q->producer());
  EXPECT_FALSE(seen->per_token);
  EXPECT_TRUE(has_one_reader(*seen));
  EXPECT_FALSE(dynamic_of(q));
  EXPECT_FALSE(dynamic_of(p.x));
  p.build("aten.relu.default", scale);  // somebody else wants the scale
  EXPECT_FALSE(has_one_reader(*seen));

  // Parameters chosen for one tensor and used for another are not dynamic quantization.
  Value* other = p.input("other");
  Value* r = p.build("quantized_decomposed.quantize_per_tensor.tensor", other, scale, zero, -128, 127, DType::int8);
  EXPECT_FALSE(dynamic_of(p.build("quantized_decomposed.dequantize_per_tensor.tensor", r, scale, zero, -128, 127, DType::int8)));
}

TEST(QdqPatterns, DynamicQuantizationByRows) {
  Program p;
  const Node& choose = p.build.node("quantized_decomposed.choose_qparams_per_token_asymmetric.default", {p.x, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  Value* q = p.build("quantized_decomposed.quantize_per_token.default", p.x, scale, zero, -128, 127, DType::int8);
  const auto seen =
      dynamic_of(p.build("quantized_decomposed.dequantize_per_token.default", q, scale, zero, -128, 127, DType::int8, DType::float32));
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->per_token);
}

// Backends give each reader a dequantize node of its own; two copies still make one value.
TEST(QdqPatterns, CopiesOfADequantizeAreOneSource) {
  Program p;
  Value* stored = p.quantize(p.x, 0.1);
  Value *a = p.dequantize(stored, 0.1), *b = p.dequantize(stored, 0.1), *c = p.dequantize(p.quantize(p.x, 0.2), 0.2);
  const Node& choose = p.build.node("quantized_decomposed.choose_qparams.tensor", {a, -128, 127, 1e-4, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  const auto chain = [&](Value* read) {
    Value* q = p.build("quantized_decomposed.quantize_per_tensor.tensor", read, scale, zero, -128, 127, DType::int8);
    return p.build("quantized_decomposed.dequantize_per_tensor.tensor", q, scale, zero, -128, 127, DType::int8);
  };
  EXPECT_TRUE(dynamic_of(chain(b)));
  EXPECT_FALSE(dynamic_of(chain(c)));
}

TEST(QdqPatterns, ParametersFoundAtRunTimeAreNotStatic) {
  Program p;
  Value* scale = p.program.graph().add_input(1, {.meta = TensorMeta::contiguous(DType::float64, {1}), .name = "scale"});
  Value* zero = p.program.graph().add_input(2, {.meta = TensorMeta::contiguous(DType::int64, {1}), .name = "zero"});
  for (Value* value : {scale, zero}) p.program.input_specs.push_back({.kind = InputSpec::Kind::user_input, .value = value});
  const Value* q = p.build("quantized_decomposed.quantize_per_tensor.tensor", p.x, scale, zero, -128, 127, DType::int8);
  EXPECT_FALSE(params_of(p.program, *q->producer()));
}

TEST(QdqPatterns, ChainWithAndWithoutActivation) {
  Program p;
  Value* sum = p.build("aten.add.Tensor", p.x, p.x);
  Value* relu = p.build("aten.relu.default", sum);
  p.quantize(relu, 0.1);
  EXPECT_FALSE(find_chain(p.program, *sum->producer()));  // relu stands between
  const auto chain = find_chain(p.program, *sum->producer(), is_relu);
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->activation, relu->producer());
  EXPECT_EQ(chain->quantizes.size(), 1u);
  EXPECT_EQ(chain->output.scale[0], 0.1);
  EXPECT_TRUE(find_chain(p.program, *relu->producer()));
}

TEST(QdqPatterns, EveryReaderQuantizesAlike) {
  Program p;
  Value* sum = p.build("aten.add.Tensor", p.x, p.x);
  p.quantize(sum, 0.1);
  p.quantize(sum, 0.1);
  const auto chain = find_chain(p.program, *sum->producer());
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->quantizes.size(), 2u);
  p.quantize(sum, 0.2);
  EXPECT_FALSE(find_chain(p.program, *sum->producer()));

  Value* other = p.build("aten.add.Tensor", p.x, p.x);
  p.quantize(other, 0.1);
  p.build("aten.relu.default", other);
  EXPECT_FALSE(find_chain(p.program, *other->producer()));  // somebody reads the float
}

}  // namespace
}  // namespace intaglio::qdq
