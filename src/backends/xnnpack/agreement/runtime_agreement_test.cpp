// Delegated and undelegated, every op gives the same numbers on the stock runtime. Blocks of transformers:
// blocks_agreement_test.cpp.
#include "backends/xnnpack/agreement/agreement_for_tests.h"

namespace intaglio::xnnpack {
namespace {

using namespace agreement;

class Agreement : public testing::TestWithParam<Case> {};

TEST_P(Agreement, WithPortableKernels) { expect_agreement(GetParam()); }

// ---- builders

Build unary(const char* op) {
  return [op](ProgramBuilder& t) { return Results{t(op, t.input({2, 3, 4, 5}))}; };
}
Build unary_positive(const char* op) {
  return [op](ProgramBuilder& t) { return Results{t(op, t("aten.add.Scalar", t("aten.abs.default", t.input({2, 3, 4})), 0.5))}; };
}
Build binary(const char* op, SymSizes left, SymSizes right) {
  return [=](ProgramBuilder& t) { return Results{t(op, t.input(left), t.input(right))}; };
}
Build convolution(Sizes input, Sizes weight, int64_t stride, int64_t padding, int64_t groups, bool bias = true) {
  return [=](ProgramBuilder& t) {
    Value* x = t.input(input);
    return Results{t.convolution(x, t.weight("w", weight), bias ? t.weight("b", {weight[0]}) : nullptr, stride, padding, groups)};
  };
}
Results transposed(ProgramBuilder& t, int64_t groups, bool int8) {
  Value* x = t.input({1, 4, 5, 6});
  Value* w = int8 ? t.int8_weight("w", {4, 3, 3, 2}, 1) : t.weight("w", {4, 3, 3, 2});
  Value* b = t.weight("b", {3 * groups});
  if (int8) x = t.qdq(x, 0.024, 0);
  Value* y = t("aten.convolution.default", x, w, b, Ints{2, 2}, Ints{1, 0}, Ints{1, 1}, true, Ints{1, 0}, groups);
  return {int8 ? t.qdq(y, 0.05, 2) : y};
}
Value* half_weight(ProgramBuilder& t, const char* name, const Sizes& sizes) {
  return t.buffer(name, converted(*t.program.constant(t.weight(std::string(name) + "32", sizes)), DType::float16));
}
Value* channels_last(ProgramBuilder& t, Sizes sizes) {
  TensorMeta meta = TensorMeta::contiguous(DType::float32, {sizes.begin(), sizes.end()});
  const std::vector<uint8_t> order = {0, 2, 3, 1};
  const Sizes strides = strides_of_dim_order(sizes, order);
  meta.strides.assign(strides.begin(), strides.end());
  Value* x = t.input(sizes);
  x->meta() = meta;
  return x;
}

// One op between quantize and dequantize nodes, int8 in and out; the tolerance is one step.
Build int8(std::function<Value*(ProgramBuilder&, Value*)> op, double out_scale = 0.03, int64_t out_zero = -3) {
  return [=](ProgramBuilder& t) {
    Value* x = t.qdq(t.input({2, 4, 6, 6}), 0.024, 5);
    return Results{t.qdq(op(t, x), out_scale, out_zero)};
  };
}
Build int8_unary(const char* op, double out_scale = 0.03, int64_t out_zero = -3) {
  return int8([op](ProgramBuilder& t, Value* x) { return t(op, x); }, out_scale, out_zero);
}
Value* int8_convolution(ProgramBuilder& t, Value* x, const char* name, Sizes weight, int64_t stride, int64_t padding, int64_t groups) {
  return t.convolution(x, t.int8_weight(name, weight), t.weight(std::string(name) + "_b", {weight[0]}), stride, padding, groups);
}

const Case runtime_cases[] = {
    {"conv", convolution({1, 3, 8, 9}, {5, 3, 3, 3}, 1, 1, 1)},
    {"conv_no_bias", convolution({2, 3, 8, 9}, {5, 3, 3, 2}, 2, 0, 1, false)},
    {"conv_grouped", convolution({1, 6, 8, 8}, {4, 3, 3, 3}, 1, 1, 2)},
    {"conv_depthwise", convolution({1, 6, 8, 8}, {6, 1, 3, 3}, 2, 1, 6)},
    {"conv_depthwise_multiplier", convolution({1, 3, 8, 8}, {6, 1, 3, 3}, 1, 1, 3)},
    {"conv_one_channel", convolution({1, 1, 8, 8}, {4, 1, 3, 3}, 1, 1, 1)},
    {"conv1d", convolution({2, 3, 20}, {4, 3, 5}, 2, 2, 1)},
    {"conv1d_depthwise", convolution({2, 4, 20}, {4, 1, 5}, 1, 2, 4)},
    {"conv1d_chain",
     [](ProgramBuilder& t) {
       Value* x = relu(t, t.convolution(t.input({1, 3, 20}), t.weight("w", {4, 3, 5}), t.weight("b", {4}), 1, 2));
       return Results{t("aten.tanh.default", t.convolution(t("aten.sigmoid.default", x), t.weight("v", {4, 4, 3}), nullptr))};
     }},
    {"conv_transpose", [](ProgramBuilder& t) { return transposed(t, 1, false); }},
    {"conv_transpose_grouped", [](ProgramBuilder& t) { return transposed(t, 2, false); }},
    {"conv_relu6_conv",
     [](ProgramBuilder& t) {
       Value* y = relu6(t, t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), t.weight("b", {4})));
       return Results{relu(t, t.convolution(y, t.weight("v", {2, 4, 1, 1}), nullptr))};
     }},
    {"conv_batch_norm",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr);
       Value* variance = t.buffer("v", Tensor::of<float>({0.5f, 1, 2, 3}, {4}));
       Node& norm = t.node("aten._native_batch_norm_legit_no_training.default",
                           {y, t.weight("g", {4}), t.weight("h", {4}), t.weight("m", {4}), variance, 0.1, 1e-5});
       return Results{relu(t, norm.output())};
     }},
    {"batch_norm_alone",
     [](ProgramBuilder& t) {
       Value* variance = t.buffer("v", Tensor::of<float>({0.5f, 1, 2, 3}, {4}));
       Node& norm = t.node("aten._native_batch_norm_legit_no_training.default",
                           {t.input({2, 4, 3, 3}), t.weight("g", {4}), t.weight("h", {4}), t.weight("m", {4}), variance, 0.1, 1e-5});
       return Results{norm.output()};
     }},
    {"batch_norm_vector",
     [](ProgramBuilder& t) {
       Value* variance = t.buffer("v", Tensor::of<float>({0.5f, 1, 2, 3}, {4}));
       Node& norm = t.node("aten._native_batch_norm_legit_no_training.default",
                           {t.input({2, 4}), Argument(), Argument(), t.weight("m", {4}), variance, 0.1, 1e-5});
       return Results{norm.output()};
     }},
    {"pad_conv",
     [](ProgramBuilder& t) {
       Value* x = t("aten.constant_pad_nd.default", t.input({1, 3, 8, 8}), Ints{0, 1, 2, 1}, 0.0);
       return Results{t.convolution(x, t.weight("w", {4, 3, 3, 3}), t.weight("b", {4}), 2)};
     }},
    {"pad_value",
     [](ProgramBuilder& t) { return Results{t("aten.constant_pad_nd.default", t.input({2, 3, 4}), Ints{1, 2, 0, 3}, 1.5)}; }},
    {"linear",
     [](ProgramBuilder& t) { return Results{t("aten.linear.default", t.input({3, 7}), t.weight("w", {5, 7}), t.weight("b", {5}))}; }},
    {"linear_rank3",
     [](ProgramBuilder& t) { return Results{t("aten.linear.default", t.input({2, 3, 7}), t.weight("w", {5, 7}))}; }},
    {"addmm",
     [](ProgramBuilder& t) { return Results{t("aten.addmm.default", t.weight("b", {5}), t.input({3, 7}), t.weight("w", {7, 5}))}; }},
    {"mm_of_permuted",
     [](ProgramBuilder& t) {
       return Results{t("aten.mm.default", t.input({3, 7}), t("aten.permute_copy.default", t.weight("w", {5, 7}), Ints{1, 0}))};
     }},
    {"bmm", binary("aten.bmm.default", {2, 3, 4}, {2, 4, 5})},
    {"add", binary("aten.add.Tensor", {2, 3, 4, 5}, {2, 3, 4, 5})},
    {"add_broadcast", binary("aten.add.Tensor", {2, 3, 4, 5}, {3, 1, 1})},
    {"sub", binary("aten.sub.Tensor", {2, 3, 4}, {4})},
    {"mul", binary("aten.mul.Tensor", {2, 3}, {2, 3})},
    {"minimum", binary("aten.minimum.default", {2, 3}, {2, 3})},
    {"maximum", binary("aten.maximum.default", {2, 3}, {3})},
    {"div",
     [](ProgramBuilder& t) {
       return Results{t("aten.div.Tensor", t.input({2, 3}), t("aten.add.Scalar", t("aten.abs.default", t.input({2, 3})), 0.5))};
     }},
    {"add_itself", [](ProgramBuilder& t) { Value* x = t.input({2, 3}); return Results{t("aten.add.Tensor", x, x)}; }},
    {"conv_times_low_rank_constant",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr);
       return Results{t.convolution(t("aten.mul.Tensor", y, t.weight("s", {4, 1, 1})), t.weight("v", {2, 4, 1, 1}), nullptr)};
     }},
    {"conv_times_low_rank_value",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr);
       return Results{t.convolution(t("aten.mul.Tensor", y, t.input({4, 1, 1})), t.weight("v", {2, 4, 1, 1}), nullptr)};
     }},
    {"scalars",
     [](ProgramBuilder& t) {
       Value* x = t("aten.mul.Scalar", t("aten.add.Scalar", t.input({2, 3}), 1), 0.3);
       return Results{t("aten.div.Scalar", t("aten.sub.Scalar", x, 2.5), 3)};
     }},
    {"relu", unary("aten.relu.default")},
    {"hardtanh", [](ProgramBuilder& t) { return Results{t("aten.hardtanh.default", t.input({2, 3}))}; }},
    {"clamp_min", [](ProgramBuilder& t) { return Results{t("aten.clamp.default", t.input({2, 3}), 0.5)}; }},
    {"clamp_max", [](ProgramBuilder& t) { return Results{t("aten.clamp.default", t.input({2, 3}), Argument(), 0.5)}; }},
    {"sigmoid", unary("aten.sigmoid.default")},
    {"tanh", unary("aten.tanh.default")},
    {"gelu", unary("aten.gelu.default")},
    {"exp", unary("aten.exp.default")},
    {"abs", unary("aten.abs.default")},
    {"ceil", unary("aten.ceil.default")},
    {"floor", unary("aten.floor.default")},
    {"neg", unary("aten.neg.default")},
    {"sin", unary("aten.sin.default")},
    {"cos", unary("aten.cos.default")},
    {"elu", [](ProgramBuilder& t) { return Results{t("aten.elu.default", t.input({2, 3, 4}), 0.7)}; }},
    {"leaky_relu", [](ProgramBuilder& t) { return Results{t("aten.leaky_relu.default", t.input({2, 3, 4}), 0.2)}; }},
    {"log", unary_positive("aten.log.default")},
    {"sqrt", unary_positive("aten.sqrt.default")},
    {"rsqrt", unary_positive("aten.rsqrt.default")},
    {"square", [](ProgramBuilder& t) { return Results{t("aten.pow.Tensor_Scalar", t.input({2, 3}), 2)}; }},
    {"hardswish", unary("aten.hardswish.default"), 1e-5,
     [](ProgramBuilder& t) {
       Value* x = t.input({2, 3, 4, 5});
       Value* gate = t("aten.hardtanh.default", t("aten.add.Scalar", x, 3), 0.0, 6.0);
       return Results{t("aten.div.Scalar", t("aten.mul.Tensor", x, gate), 6)};
     }},
    {"prelu",
     [](ProgramBuilder& t) { return Results{t("aten.prelu.default", t.input({1, 3, 4, 5}), t.weight("w", {3}))}; }, 1e-5,
     [](ProgramBuilder& t) {
       Value* x = t.input({1, 3, 4, 5});
       Value* negative = t("aten.mul.Tensor", t("aten.hardtanh.default", x, -1e6, 0.0), t.weight("w", {1, 3, 1, 1}));
       return Results{t("aten.add.Tensor", relu(t, x), negative)};
     }},
    {"softmax", [](ProgramBuilder& t) { return Results{t("aten._softmax.default", t.input({2, 3, 7}), -1, false)}; }},
    {"softmax_channels",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr);
       return Results{t("aten._softmax.default", y, 1, false)};
     }},
    {"avg_pool",
     [](ProgramBuilder& t) {
       return Results{t("aten.avg_pool2d.default", t.input({1, 3, 8, 8}), Ints{3, 3}, Ints{2, 2}, Ints{1, 1}, false, false)};
     }},
    {"max_pool",
     [](ProgramBuilder& t) {
       return Results{t("aten.max_pool2d_with_indices.default", t.input({1, 3, 9, 9}), Ints{3, 3}, Ints{2, 2}, Ints{1, 1})};
     }},
    {"max_pool_ceil",
     [](ProgramBuilder& t) {
       return Results{t("aten.max_pool2d_with_indices.default", t.input({1, 3, 8, 10}), Ints{3, 2}, Ints{2, 2}, Ints{0, 0},
                        Ints{1, 1}, true)};
     }},
    {"mean", [](ProgramBuilder& t) { return Results{t("aten.mean.dim", t.input({2, 3, 5, 7}), Ints{-1, -2}, true)}; }},
    {"mean_without_keepdim",
     [](ProgramBuilder& t) { return Results{t("aten.mean.dim", t.input({2, 3, 5, 7}), Ints{2, 3}, false)}; }},
    {"upsample",
     [](ProgramBuilder& t) {
       return Results{t("aten.upsample_bilinear2d.vec", t.input({1, 3, 5, 7}), Argument(), false, std::vector<double>{2.0, 2.0})};
     }},
    {"upsample_aligned",
     [](ProgramBuilder& t) {
       return Results{t("aten.upsample_bilinear2d.vec", t.input({1, 3, 5, 7}), Ints{9, 20}, true, Argument())};
     }},
    {"view_add",
     [](ProgramBuilder& t) {
       Value* x = relu(t, t("aten.view_copy.default", t.input({2, 3, 4}), Ints{4, -1}));
       return Results{t("aten.unsqueeze_copy.default", x, 1), t("aten.squeeze_copy.dims", t("aten.unsqueeze_copy.default", x, 0), Ints{0})};
     }},
    {"permute", [](ProgramBuilder& t) { return Results{t("aten.permute_copy.default", t.input({2, 3, 4}), Ints{2, 0, 1})}; }},
    {"permute_of_image",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 6}), t.weight("w", {4, 3, 3, 3}), nullptr);
       Value* rows = t("aten.permute_copy.default", y, Ints{0, 2, 3, 1});
       Value* back = t("aten.permute_copy.default", t("aten.linear.default", rows, t.weight("v", {4, 4})), Ints{0, 3, 1, 2});
       return Results{t.convolution(back, t.weight("u", {2, 4, 1, 1}), nullptr), t("aten.permute_copy.default", y, Ints{3, 1, 0, 2})};
     }},
    {"slice",
     [](ProgramBuilder& t) { return Results{relu(t, t("aten.slice_copy.Tensor", t.input({2, 5, 4}), 1, -3, 100))}; }},
    {"conv_slice_cat",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr);
       Value* a = t("aten.slice_copy.Tensor", y, 1, 0, 2);
       Value* b = t("aten.slice_copy.Tensor", y, 1, 2, 4);
       Value* c = t("aten.cat.default", Results{b, a, relu(t, y)}, -3);
       return Results{t.convolution(c, t.weight("v", {2, 8, 1, 1}), nullptr), c};
     }},
    {"cat_of_seven",
     [](ProgramBuilder& t) {
       Results parts;
       for (int64_t i = 1; i <= 7; ++i) parts.push_back(t.input({2, i}));
       return Results{t("aten.cat.default", parts, 1)};
     }},
    {"clone_of_input", [](ProgramBuilder& t) {
       Value* x = t.input({2, 3});
       return Results{t("dim_order_ops._clone_dim_order.default", x), relu(t, x)};
     }},
    {"two_outputs_of_one_value",
     [](ProgramBuilder& t) {
       Value* y = t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr);
       return Results{relu(t, y), y, t.convolution(y, t.weight("v", {2, 4, 1, 1}), nullptr)};
     }},

    {"dynamic_batch",
     [](ProgramBuilder& t) {
       Value* y = relu6(t, t.convolution(t.input({batch(t), 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr));
       Value* pooled = t("aten.mean.dim", y, Ints{2, 3}, false);
       return Results{t("aten.linear.default", pooled, t.weight("fc", {5, 4})), t("aten.add.Tensor", y, t.weight("c", {4, 1, 1}))};
     }},
    {"dynamic_length_1d",
     [](ProgramBuilder& t) { return Results{relu(t, t.convolution(t.input({1, 3, batch(t)}), t.weight("w", {4, 3, 3}), nullptr, 1, 1))}; }},
    {"dynamic_slice",
     [](ProgramBuilder& t) { return Results{relu(t, t("aten.slice_copy.Tensor", t.input({batch(t), 5, 4}), 1, 1, 3))}; }},
    {"dynamic_softmax_cat",
     [](ProgramBuilder& t) {
       Value* x = t.input({2, batch(t), 4});
       return Results{t("aten._softmax.default", t("aten.cat.default", Results{x, relu(t, x)}, 2), -1, false)};
     }},
    {"channels_last_input",
     [](ProgramBuilder& t) {
       return Results{t.convolution(channels_last(t, {1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr)};
     }, 1e-5,
     [](ProgramBuilder& t) {
       return Results{t.convolution(t.input({1, 3, 8, 8}), t.weight("w", {4, 3, 3, 3}), nullptr)};
     }},
    {"half_linear",
     [](ProgramBuilder& t) {
       return Results{relu(t, t("aten.linear.default", half(t, {3, 7}), half_weight(t, "w", {5, 7}), half_weight(t, "b", {5})))};
     }, 0.01},
    {"half_conv",
     [](ProgramBuilder& t) {
       return Results{t.convolution(half(t, {1, 3, 8, 8}), half_weight(t, "w", {4, 3, 3, 3}), half_weight(t, "b", {4}))};
     }, 0.1},
    {"half_prelu",
     [](ProgramBuilder& t) { return Results{t("aten.prelu.default", half(t, {1, 3, 4, 5}), half_weight(t, "w", {3}))}; }, 0.01,
     [](ProgramBuilder& t) {
       Value* x = half(t, {1, 3, 4, 5});
       Value* negative = t("aten.mul.Tensor", t("aten.hardtanh.default", x, -1e4, 0.0), half_weight(t, "w", {1, 3, 1, 1}));
       return Results{t("aten.add.Tensor", relu(t, x), negative)};
     }},
    {"half_add", [](ProgramBuilder& t) { return Results{t("aten.add.Tensor", half(t, {3, 7}), half(t, {7}))}; }, 0.01},

    {"int8_conv_relu", int8([](ProgramBuilder& t, Value* x) { return relu(t, int8_convolution(t, x, "w", {3, 4, 3, 3}, 1, 1, 1)); }, 0.02, -128), 0.021},
    {"int8_conv_relu6", int8([](ProgramBuilder& t, Value* x) { return relu6(t, int8_convolution(t, x, "w", {3, 4, 3, 3}, 1, 0, 1)); }, 0.02, -128), 0.021},
    {"int8_conv_grouped", int8([](ProgramBuilder& t, Value* x) { return int8_convolution(t, x, "w", {4, 2, 3, 3}, 2, 1, 2); }, 0.02, 0), 0.021},
    {"int8_depthwise", int8([](ProgramBuilder& t, Value* x) { return int8_convolution(t, x, "w", {8, 1, 3, 3}, 1, 1, 4); }, 0.02, 0), 0.021},
    {"int8_conv_transpose", [](ProgramBuilder& t) { return transposed(t, 1, true); }, 0.051},
    {"int8_conv1d",
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({1, 3, 20}), 0.024, 5);
       return Results{t.qdq(relu(t, int8_convolution(t, x, "w", {4, 3, 5}, 1, 2, 1)), 0.02, -128)};
     }, 0.021},
    {"int8_linear",
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({3, 9}), 0.024, 5);
       return Results{t.qdq(t("aten.linear.default", x, t.int8_weight("w", {5, 9}), t.weight("b", {5})), 0.02, 1)};
     }, 0.021},
    {"int8_linear_per_tensor",
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({3, 9}), 0.024, 5);
       Tensor data = Tensor::empty(DType::int8, {5, 9});
       for (int64_t i = 0; i < 45; ++i) data.mutable_data<int8_t>()[i] = static_cast<int8_t>(i * 37 % 255 - 127);
       Value* w = t("quantized_decomposed.dequantize_per_tensor.default", t.buffer("w", data), 0.004, 0, -127, 127, DType::int8);
       return Results{t.qdq(t("aten.linear.default", x, w, t.weight("b", {5})), 0.02, 1)};
     }, 0.021},
    {"int8_linear_transposed",
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({3, 9}), 0.024, 5);
       Value* w = t("aten.permute_copy.default", t.int8_weight("w", {5, 9}), Ints{1, 0});
       return Results{t.qdq(t("aten.addmm.default", t.weight("b", {5}), x, w), 0.02, 1)};
     }, 0.021},
    {"int8_weights_only",
     [](ProgramBuilder& t) { return Results{t("aten.linear.default", t.input({3, 9}), t.int8_weight("w", {5, 9}))}; }},
    {"int8_add_relu6",
     [](ProgramBuilder& t) {
       Value* sum = t("aten.add.Tensor", t.qdq(t.input({2, 3}), 0.024, 5), t.qdq(t.input({2, 3}), 0.03, -7));
       return Results{t.qdq(relu6(t, sum), 0.04, -128)};
     }, 0.041},
    {"int8_sub",
     [](ProgramBuilder& t) {
       Value* sum = t("aten.sub.Tensor", t.qdq(t.input({2, 3}), 0.024, 5), t.qdq(t.input({2, 3}), 0.03, -7));
       return Results{t.qdq(sum, 0.04, 3)};
     }, 0.041},
    {"int8_mul_relu",
     [](ProgramBuilder& t) {
       Value* product = t("aten.mul.Tensor", t.qdq(t.input({2, 3}), 0.024, 5), t.qdq(t.input({2, 3}), 0.03, -7));
       return Results{t.qdq(relu(t, product), 0.06, -128)};
     }, 0.061},
    {"int8_clamp", int8([](ProgramBuilder& t, Value* x) { return relu6(t, x); }, 0.024, -128), 0.0241},
    {"int8_clamp_of_other_scale", int8([](ProgramBuilder& t, Value* x) { return t("aten.hardtanh.default", x); }, 0.01, 0), 0.011},
    {"int8_sigmoid", int8_unary("aten.sigmoid.default", 1.0 / 256, -128), 0.004},
    {"int8_tanh", int8_unary("aten.tanh.default", 1.0 / 128, 0), 0.008},
    {"int8_gelu", int8_unary("aten.gelu.default"), 0.031},
    {"int8_exp", int8_unary("aten.exp.default", 0.08, -128), 0.081},
    {"int8_abs", int8_unary("aten.abs.default", 0.024, -128), 0.025},
    {"int8_elu", int8_unary("aten.elu.default"), 0.031},
    {"int8_leaky_relu", int8_unary("aten.leaky_relu.default"), 0.031},
    {"int8_square", int8([](ProgramBuilder& t, Value* x) { return t("aten.pow.Tensor_Scalar", x, 2); }, 0.04, -128), 0.041},
    {"int8_mean", int8([](ProgramBuilder& t, Value* x) { return t("aten.mean.dim", x, Ints{2, 3}, false); }, 0.01, 4), 0.011},
    {"int8_max_pool",
     int8([](ProgramBuilder& t, Value* x) { return t.node("aten.max_pool2d_with_indices.default", {x, Ints{2, 2}}).output(); }, 0.024, 5), 0.0241},
    {"int8_avg_pool", int8([](ProgramBuilder& t, Value* x) { return t("aten.avg_pool2d.default", x, Ints{2, 2}); }, 0.02, 4), 0.021},
    {"int8_view", int8([](ProgramBuilder& t, Value* x) { return t("aten.view_copy.default", x, Ints{2, -1}); }, 0.024, 5), 0.0241},
    {"int8_view_of_other_scale", int8([](ProgramBuilder& t, Value* x) { return t("aten.view_copy.default", x, Ints{2, -1}); }, 0.02, 5), 0.021},
    {"int8_pad", int8([](ProgramBuilder& t, Value* x) { return t("aten.constant_pad_nd.default", x, Ints{1, 2}, 0.0); }, 0.024, 5), 0.0241},
    {"int8_cat",
     [](ProgramBuilder& t) {
       Results parts;
       for (int64_t i = 1; i <= 7; ++i) parts.push_back(t.qdq(t.input({2, i, 2, 2}), 0.024, 5));
       return Results{t.qdq(t("aten.cat.default", parts, 1), 0.024, 5)};
     }, 0.0241},
    {"int8_pad_conv",  // TensorFlow's "same": other parameters on both sides of the padding
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({1, 3, 8, 8}), 0.024, 5);
       Value* padded = t.qdq(t("aten.constant_pad_nd.default", x, Ints{0, 1, 0, 1}, 0.0), 0.025, 7);
       return Results{t.qdq(int8_convolution(t, padded, "w", {4, 3, 3, 3}, 2, 0, 1), 0.02, 0)};
     }, 0.021},
    {"int8_residual",
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({1, 4, 6, 6}), 0.024, 5);
       Value* y = t.qdq(relu(t, int8_convolution(t, x, "w", {4, 4, 3, 3}, 1, 1, 1)), 0.02, -128);
       return Results{t.qdq(t("aten.add.Tensor", y, x), 0.05, -20)};
     }, 0.051},
    {"int8_and_float_readers",
     [](ProgramBuilder& t) {
       Value* q = t.quantize(t.input({1, 4, 6, 6}), 0.024, 5);
       Value* x = t.dequantize(q, 0.024, 5);
       return Results{t.qdq(int8_convolution(t, x, "w", {4, 4, 3, 3}, 1, 1, 1), 0.02, 0), t("aten.sin.default", x), q};
     }, 1.0},
};

INSTANTIATE_TEST_SUITE_P(Xnnpack, Agreement, testing::ValuesIn(runtime_cases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace intaglio::xnnpack
