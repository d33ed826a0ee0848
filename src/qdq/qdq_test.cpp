#include "qdq/patterns.h"

#include <gtest/gtest.h>

#include "qdq/writer.h"
#include "testing/program_builder.h"

namespace intaglio::qdq {
namespace {

using Ints = std::vector<int64_t>;

struct Program : test::ProgramBuilder {
  Value* x = input("x", {2, 3});

  Value* quantize(Value* v, double scale) { return ProgramBuilder::quantize(v, scale, 4); }
  Value* dequantize(Value* q, double scale) { return ProgramBuilder::dequantize(q, scale, 4); }
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
  Value* data = p.buffer("w", Tensor::zeros(DType::int8, {2, 3}));
  Value* scale = p.buffer("s", Tensor::of<float>({0.5f, 0.25f, 2}, {3}));
  Value* zero = p.buffer("z", Tensor::of<int64_t>({0, 1, 2}, {3}));
  const Value* w = p("quantized_decomposed.dequantize_per_channel.default", data, scale, zero, -1, -127, 127, DType::int8);
  const auto params = params_of(p.program, *w->producer());
  ASSERT_TRUE(params);
  EXPECT_EQ(params->axis(), 1);
  EXPECT_EQ(params->scale, (std::vector<double>{0.5, 0.25, 2}));
  EXPECT_EQ(params->zero_point, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(params->quant_min, -127);
}

TEST(OpTable, RolesOfBothLibraries) {
  Program p;
  Value* q = p.buffer("q", Tensor::zeros(DType::int8, {2, 4}));
  Value* s = p.buffer("s", Tensor::of<float>({1, 2, 3, 4}, {2, 2}));
  const Node& affine =
      p.raw("torchao.dequantize_affine.default",
            {{"input", q}, {"block_size", Ints{1, 2}}, {"scale", s}, {"zero_point", s}, {"input_dtype", DType::int8}}, {{2, 4}});
  EXPECT_TRUE(is_dequantize(affine));
  EXPECT_FALSE(is_quantize(affine));
  EXPECT_FALSE(is_tensor_or_channel_dequantize(affine));
  EXPECT_TRUE(is_tensor_or_channel_dequantize(*p.dequantize(p.quantize(p.x, 0.1), 0.1)->producer()));
  EXPECT_EQ(find(*p("aten.relu.default", p.x)->producer()), nullptr);
  EXPECT_EQ(op_of(Role::choose, Granularity::tensor, Variant::symmetric), "quantized_decomposed.choose_qparams_symmetric.tensor");
}

TEST(Reader, BlocksOfTorchaoInTheirShortestForm) {
  Program p;
  Value* q = p.buffer("q", Tensor::zeros(DType::int8, {2, 4}));
  Value* s = p.buffer("s", Tensor::of<float>({1, 2, 3, 4}, {2, 2}));
  const auto read = [&](const Ints& blocks) {
    return *params_of(
        p.program, p.raw("torchao.dequantize_affine.default",
                         {{"input", q}, {"block_size", blocks}, {"scale", s}, {"zero_point", s}, {"input_dtype", DType::int8}}, {{2, 4}}));
  };
  const QuantParams groups = read({1, 2});
  EXPECT_EQ(groups.block_size, (Ints{1, 2}));
  EXPECT_EQ(groups.scale, (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(groups.zero_point, (Ints{1, 2, 3, 4}));
  EXPECT_EQ(groups.quant_min, -128);  // not stated: the type's
  EXPECT_EQ(read({1, 4}).axis(), 0);
  EXPECT_EQ(read({2, 1}).axis(), 1);
  EXPECT_TRUE(read({2, 4}).is_per_tensor());
}

TEST(Reader, RowsAndGroups) {
  Program p;
  Value* q = p.buffer("q", Tensor::zeros(DType::int8, {3, 2, 4}));
  Value* s = p.buffer("s", Tensor::of<float>({1, 2, 3, 4}, {2, 2}));
  std::vector<NamedArgument> arguments = {{"input", q},      {"scales", s},    {"zero_points", s},
                                          {"quant_min", -8}, {"quant_max", 7}, {"dtype", DType::int8}};
  const auto blocks = [&](const char* op) { return params_of(p.program, p.raw(op, arguments, {{2, 4}}))->block_size; };
  EXPECT_EQ(blocks("quantized_decomposed.quantize_per_token.default"), (Ints{1, 1}));
  arguments.push_back({"group_size", 2});
  EXPECT_EQ(blocks("quantized_decomposed.quantize_per_channel_group.default"), (Ints{1, 1, 2}));
}

TEST(Reader, CodeBooks) {
  Program p;
  Value* codes = p.buffer("c", Tensor::zeros(DType::uint8, {4, 2}));
  Value* book = p.buffer("b", Tensor::zeros(DType::float64, {2, 1, 4, 1}));
  const Node& node = p.raw("quant.dequantize_codebook.default",
                           {{"codes", codes}, {"codebook", book}, {"nbits", 2}, {"block_size", Ints{2, -1}}}, {{2, 4}});
  const auto params = params_of(p.program, node);
  ASSERT_TRUE(params && params->code_book);
  EXPECT_EQ(params->block_size, (Ints{2}));
  EXPECT_EQ(params->quant_max, 3);
  EXPECT_EQ(params->dtype, DType::uint8);
}

TEST(Writer, WhatIsWrittenIsRead) {
  Program p;
  const auto back = [&](const QuantParams& params) {
    const Form form = static_form(p.program, params);
    std::vector<NamedArgument> arguments = {{"input", p.x}};
    arguments.insert(arguments.end(), form.arguments.begin(), form.arguments.end());
    const Node& node = p.program.graph().insert_before(nullptr, form.quantize, arguments, {{TensorMeta::contiguous(form.dtype, {2, 3})}});
    return *params_of(p.program, node);
  };
  const QuantParams one{.scale = {0.1}, .zero_point = {4}, .quant_min = 0, .quant_max = 255, .dtype = DType::uint8};
  EXPECT_EQ(back(one), one);
  const QuantParams channels{.scale = {0.5, 0.25, 2}, .zero_point = {0, 1, 2}, .block_size = channel_blocks(1)};
  EXPECT_EQ(back(channels), channels);
  EXPECT_EQ(p.program.state.find("_scale_0")->tensor.dtype(), DType::float32);
  EXPECT_EQ(p.program.state.find("_zero_point_0")->tensor.dtype(), DType::int64);
  EXPECT_THROW(static_form(p.program, {.scale = {1}, .zero_point = {0}, .block_size = {1, 2}}), Error);
}

TEST(QdqPatterns, DynamicQuantizationIsThreeNodes) {
  Program p;
  const Node& choose = p.node("quantized_decomposed.choose_qparams.tensor", {p.x, -128, 127, 1e-4, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  Value* q = p("quantized_decomposed.quantize_per_tensor.tensor", p.x, scale, zero, -128, 127, DType::int8);
  Value* y = p("quantized_decomposed.dequantize_per_tensor.tensor", q, scale, zero, -128, 127, DType::int8);
  p("aten.relu.default", y);
  const auto seen = dynamic_of(y);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->source, p.x);
  EXPECT_EQ(seen->choose, &choose);
  EXPECT_EQ(seen->quantize, q->producer());
  EXPECT_FALSE(seen->per_token);
  EXPECT_TRUE(has_one_reader(*seen));
  EXPECT_FALSE(dynamic_of(q));
  EXPECT_FALSE(dynamic_of(p.x));
  p("aten.relu.default", scale);  // somebody else wants the scale
  EXPECT_FALSE(has_one_reader(*seen));

  // Parameters chosen for one tensor and used for another are not dynamic quantization.
  Value* other = p.input("other", {2, 3});
  Value* r = p("quantized_decomposed.quantize_per_tensor.tensor", other, scale, zero, -128, 127, DType::int8);
  EXPECT_FALSE(dynamic_of(p("quantized_decomposed.dequantize_per_tensor.tensor", r, scale, zero, -128, 127, DType::int8)));
}

TEST(QdqPatterns, DynamicQuantizationByRows) {
  Program p;
  const Node& choose = p.node("quantized_decomposed.choose_qparams_per_token_asymmetric.default", {p.x, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  Value* q = p("quantized_decomposed.quantize_per_token.default", p.x, scale, zero, -128, 127, DType::int8);
  const auto seen =
      dynamic_of(p("quantized_decomposed.dequantize_per_token.default", q, scale, zero, -128, 127, DType::int8, DType::float32));
  ASSERT_TRUE(seen);
  EXPECT_TRUE(seen->per_token);
}

// Backends give each reader a dequantize node of its own; two copies still make one value.
TEST(QdqPatterns, CopiesOfADequantizeAreOneSource) {
  Program p;
  Value* stored = p.quantize(p.x, 0.1);
  Value *a = p.dequantize(stored, 0.1), *b = p.dequantize(stored, 0.1), *c = p.dequantize(p.quantize(p.x, 0.2), 0.2);
  const Node& choose = p.node("quantized_decomposed.choose_qparams.tensor", {a, -128, 127, 1e-4, DType::int8});
  Value *scale = choose.output(0), *zero = choose.output(1);
  const auto chain = [&](Value* read) {
    Value* q = p("quantized_decomposed.quantize_per_tensor.tensor", read, scale, zero, -128, 127, DType::int8);
    return p("quantized_decomposed.dequantize_per_tensor.tensor", q, scale, zero, -128, 127, DType::int8);
  };
  EXPECT_TRUE(dynamic_of(chain(b)));
  EXPECT_FALSE(dynamic_of(chain(c)));
}

TEST(QdqPatterns, ParametersFoundAtRunTimeAreNotStatic) {
  Program p;
  Value *scale = p.input("scale", {1}, DType::float64), *zero = p.input("zero", {1}, DType::int64);
  const Value* q = p("quantized_decomposed.quantize_per_tensor.tensor", p.x, scale, zero, -128, 127, DType::int8);
  EXPECT_FALSE(params_of(p.program, *q->producer()));
}

TEST(QdqPatterns, ChainWithAndWithoutActivation) {
  Program p;
  Value* sum = p("aten.add.Tensor", p.x, p.x);
  Value* relu = p("aten.relu.default", sum);
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
  Value* sum = p("aten.add.Tensor", p.x, p.x);
  p.quantize(sum, 0.1);
  p.quantize(sum, 0.1);
  const auto chain = find_chain(p.program, *sum->producer());
  ASSERT_TRUE(chain);
  EXPECT_EQ(chain->quantizes.size(), 2u);
  p.quantize(sum, 0.2);
  EXPECT_FALSE(find_chain(p.program, *sum->producer()));

  Value* other = p("aten.add.Tensor", p.x, p.x);
  p.quantize(other, 0.1);
  p("aten.relu.default", other);
  EXPECT_FALSE(find_chain(p.program, *other->producer()));  // somebody reads the float
}

struct Rows : Program {
  Value* integers = parameter("w", Tensor::zeros(DType::int8, {2, 4}));

  const Node& dequantize(Ints block, Sizes scale) {
    Value* s = parameter("s", Tensor::zeros(DType::float32, scale));
    return raw("torchao.dequantize_affine.default",
               {{"input", integers},
                {"block_size", std::move(block)},
                {"scale", s},
                {"zero_point", Argument()},
                {"input_dtype", DType::int8},
                {"quant_min", -8},
                {"quant_max", 7}},
               {{2, 4}});
  }
};

TEST(GroupedRows, GroupsOfARow) {
  Rows p;
  const auto rows = grouped_rows_of(p.dequantize({1, 2}, {2, 2}));
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->integers, p.integers);
  EXPECT_EQ(rows->group_size, 2);
  EXPECT_EQ(rows->quant_min, -8);
  EXPECT_EQ(rows->zero_point, nullptr);
  EXPECT_FALSE(rows->is_per_row());
  EXPECT_TRUE(grouped_rows_of(p.dequantize({1, 4}, {2, 1}))->is_per_row());
}

TEST(GroupedRows, OtherBlocksAreNone) {
  Rows p;
  EXPECT_FALSE(grouped_rows_of(p.dequantize({2, 4}, {1, 1})));
  EXPECT_FALSE(grouped_rows_of(p.dequantize({1, 3}, {2, 1})));
  EXPECT_FALSE(grouped_rows_of(p.dequantize({1, 2}, {2, 1})));
}

}  // namespace
}  // namespace intaglio::qdq
