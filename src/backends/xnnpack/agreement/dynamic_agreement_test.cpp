// Dynamically quantized convolutions and linears: the delegate against portable kernels.
//
// The runtime finds a range for each row of a linear's input and for each image of a convolution's, whatever the graph
// says. So references quantize by rows, and images come alone.
#include "backends/xnnpack/agreement/agreement_for_tests.h"

namespace intaglio::xnnpack {
namespace {

using namespace agreement;

class DynamicAgreement : public testing::TestWithParam<Case> {};
TEST_P(DynamicAgreement, WithPortableKernels) { expect_agreement(GetParam()); }

using Quantize = Value* (ProgramBuilder::*)(Value*);
constexpr Quantize by_tensor = &ProgramBuilder::dynamic_qdq, by_row = &ProgramBuilder::dynamic_rows;

Value* bias(ProgramBuilder& t, const char* name, int64_t channels) { return t.weight(name, {channels}); }
Value* linear(ProgramBuilder& t, Value* x, const char* name, Sizes weight) {
  return t("aten.linear.default", x, t.int8_weight(name, weight), bias(t, (std::string(name) + "_b").c_str(), weight[0]));
}
Build linear_of(Sizes input, Quantize quantize) {
  return [=](ProgramBuilder& t) { return Results{linear(t, (t.*quantize)(t.input(input)), "w", {5, input.back()})}; };
}
// The reshape of an image to rows stays in front of their quantization.
Build behind_a_reshape(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* rows = t("aten.view_copy.default", t.input({2, 3, 4, 9}), Ints{2, 12, 9});
    return Results{linear(t, (t.*quantize)(rows), "w", {5, 9})};
  };
}
// Two linears on one input, whose parameters are found once.
Build pair(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* x = (t.*quantize)(t.input({3, 9}));
    return Results{linear(t, x, "v", {5, 9}), relu(t, linear(t, x, "w", {4, 9}))};
  };
}
Build chain(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* hidden = relu6(t, linear(t, (t.*quantize)(t.input({3, 9})), "v", {7, 9}));
    return Results{linear(t, (t.*quantize)(hidden), "w", {4, 7})};
  };
}
// Behind a static linear: what the dynamic one reads was int8 already.
Build static_then(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* hidden = t.qdq(relu(t, linear(t, t.qdq(t.input({3, 9}), 0.024, 5), "v", {7, 9})), 0.04, -128);
    return Results{linear(t, (t.*quantize)(hidden), "w", {4, 7})};
  };
}
Build then_static(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* hidden = t.qdq(linear(t, (t.*quantize)(t.input({3, 9})), "v", {7, 9}), 0.04, 3);
    return Results{t.qdq(relu(t, linear(t, hidden, "w", {4, 7})), 0.05, -128)};
  };
}
// One tensor read by a static, a dynamic and a float operator.
Build three_readers(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* x = t.input({3, 9});
    return Results{linear(t, (t.*quantize)(x), "v", {5, 9}), t.qdq(linear(t, t.qdq(x, 0.024, 5), "w", {4, 9}), 0.05, 0), relu(t, x)};
  };
}
Value* per_tensor_weight(ProgramBuilder& t, Sizes sizes) {
  Tensor data = Tensor::empty(DType::int8, sizes);
  for (int64_t i = 0; i < data.numel(); ++i) data.mutable_data<int8_t>()[i] = static_cast<int8_t>(i * 37 % 255 - 127);
  return t("quantized_decomposed.dequantize_per_tensor.default", t.buffer("w", data), 0.004, 0, -127, 127, DType::int8);
}
Build per_tensor_linear(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    return Results{t("aten.linear.default", (t.*quantize)(t.input({3, 9})), per_tensor_weight(t, {5, 9}), bias(t, "b", 5))};
  };
}
Build transposed_linear(Quantize quantize) {
  return [=](ProgramBuilder& t) {
    Value* w = t("aten.permute_copy.default", t.int8_weight("w", {5, 9}), Ints{1, 0});
    return Results{t("aten.addmm.default", bias(t, "b", 5), (t.*quantize)(t.input({3, 9})), w)};
  };
}

Value* convolution(ProgramBuilder& t, Value* x, const char* name, Sizes weight, int64_t stride = 1, int64_t padding = 1,
                   int64_t groups = 1) {
  return t.convolution(t.dynamic_qdq(x), t.int8_weight(name, weight), bias(t, (std::string(name) + "_b").c_str(), weight[0]), stride,
                       padding, groups);
}
Results transposed(ProgramBuilder& t, int64_t rank) {
  const SymSizes sizes = rank == 4 ? SymSizes{1, 4, 5, 6} : SymSizes{1, 4, 5};
  Value* w = t.int8_weight("w", rank == 4 ? Sizes{4, 3, 3, 2} : Sizes{4, 3, 3}, 1);
  const size_t n = rank - 2;
  return {t("aten.convolution.default", t.dynamic_qdq(t.input(sizes)), w, bias(t, "b", 3), Ints(n, 2), Ints(n, 1), Ints(n, 1), true,
            Ints(n, 0), 1)};
}

// Float16 programs keep int8 weights; what is behind the dequantize nodes is float16.
Value* half_weight(ProgramBuilder& t, Sizes sizes) {
  Value* w = t.int8_weight("w", std::move(sizes));
  t.program.graph().set_argument(*w->producer(), "out_dtype", DType::float16);
  w->meta().dtype = DType::float16;
  return w;
}
Value* half_bias(ProgramBuilder& t, int64_t channels) {
  return t.buffer("w_b", converted(*t.program.constant(bias(t, "b", channels)), DType::float16));
}
Value* floats(ProgramBuilder& t, Value* x) {
  Node& cast = t.node("dim_order_ops._to_dim_order_copy.default", {x});
  t.program.graph().set_argument(cast, "dtype", DType::float32);
  cast.output()->meta().dtype = DType::float32;
  return cast.output();
}

// Absolute: a number between two steps may be rounded to either.
constexpr double near = 0.02;

const Case dynamic_cases[] = {
    {"linear", linear_of({3, 9}, by_row), near},
    {"linear_one_row", linear_of({1, 9}, by_tensor), near},
    {"linear_by_tensor_runs_by_row", linear_of({3, 9}, by_tensor), near, linear_of({3, 9}, by_row)},
    {"linear_vector", linear_of({9}, by_tensor), near,
     [](ProgramBuilder& t) {
       Value* x = t("aten.view_copy.default", t.dynamic_qdq(t.input({9})), Ints{1, 9});
       return Results{t("aten.view_copy.default", linear(t, x, "w", {5, 9}), Ints{5})};
     }},
    {"linear_3d", linear_of({2, 3, 9}, by_tensor), near, linear_of({2, 3, 9}, by_row)},
    {"linear_4d", linear_of({2, 2, 3, 9}, by_tensor), near, linear_of({2, 2, 3, 9}, by_row)},
    {"linear_behind_a_reshape", behind_a_reshape(by_tensor), near, behind_a_reshape(by_row)},
    {"linear_pair", pair(by_tensor), near, pair(by_row)},
    {"linear_chain", chain(by_tensor), near, chain(by_row)},
    {"linear_per_tensor_weight", per_tensor_linear(by_tensor), near, per_tensor_linear(by_row)},
    {"linear_transposed_weight", transposed_linear(by_tensor), near, transposed_linear(by_row)},
    {"static_then_dynamic", static_then(by_tensor), 0.06, static_then(by_row)},
    {"dynamic_then_static", then_static(by_tensor), 0.06, then_static(by_row)},
    {"three_readers", three_readers(by_tensor), 0.06, three_readers(by_row)},
    {"half_linear",
     [](ProgramBuilder& t) {
       return Results{t("aten.linear.default", t.dynamic_qdq(t.input({3, 9}, DType::float16)), half_weight(t, {5, 9}), half_bias(t, 5))};
     },
     near, [](ProgramBuilder& t) { return Results{linear(t, t.dynamic_rows(floats(t, t.input({3, 9}, DType::float16))), "w", {5, 9})}; }},
    {"half_conv",
     [](ProgramBuilder& t) {
       return Results{t.convolution(t.dynamic_qdq(t.input({1, 3, 8, 9}, DType::float16)), half_weight(t, {4, 3, 3, 3}), half_bias(t, 4))};
     },
     0.06,
     [](ProgramBuilder& t) { return Results{convolution(t, floats(t, t.input({1, 3, 8, 9}, DType::float16)), "w", {4, 3, 3, 3}, 1, 0)}; }},
    {"conv", [](ProgramBuilder& t) { return Results{convolution(t, t.input({1, 3, 8, 9}), "w", {4, 3, 3, 3})}; }, near},
    {"conv_relu", [](ProgramBuilder& t) { return Results{relu(t, convolution(t, t.input({1, 3, 8, 9}), "w", {4, 3, 3, 3}, 2))}; }, near},
    {"conv_grouped", [](ProgramBuilder& t) { return Results{convolution(t, t.input({1, 4, 8, 9}), "w", {4, 2, 3, 3}, 1, 1, 2)}; }, near},
    {"conv_depthwise_runs_as_grouped",
     [](ProgramBuilder& t) { return Results{convolution(t, t.input({1, 4, 8, 9}), "w", {8, 1, 3, 3}, 1, 1, 4)}; }, near},
    {"conv_one_channel", [](ProgramBuilder& t) { return Results{convolution(t, t.input({1, 1, 8, 9}), "w", {4, 1, 3, 3})}; }, near},
    {"conv_per_tensor_weight",
     [](ProgramBuilder& t) {
       return Results{t.convolution(t.dynamic_qdq(t.input({1, 3, 8, 9})), per_tensor_weight(t, {4, 3, 3, 3}), nullptr)};
     },
     near},
    {"conv1d", [](ProgramBuilder& t) { return Results{relu(t, convolution(t, t.input({1, 3, 20}), "w", {4, 3, 5}, 2, 2))}; }, near},
    {"conv1d_chain",
     [](ProgramBuilder& t) {
       return Results{convolution(t, relu(t, convolution(t, t.input({1, 3, 20}), "v", {4, 3, 5})), "w", {4, 4, 3})};
     },
     0.06},
    {"conv_transpose", [](ProgramBuilder& t) { return transposed(t, 4); }, near},
    {"conv_transpose1d", [](ProgramBuilder& t) { return transposed(t, 3); }, near},
    {"pad_conv",
     [](ProgramBuilder& t) {
       Value* x = t("aten.constant_pad_nd.default", t.input({1, 3, 8, 8}), Ints{0, 1, 0, 1}, 0.0);
       return Results{convolution(t, x, "w", {4, 3, 3, 3}, 2, 0)};
     },
     near},
    {"conv_relu6_conv_linear",  // images, then rows: transposes stay in float
     [](ProgramBuilder& t) {
       Value* x = relu6(t, convolution(t, t.input({1, 3, 8, 8}), "u", {4, 3, 3, 3}));
       x = t("aten.mean.dim", relu(t, convolution(t, x, "v", {6, 4, 1, 1}, 1, 0)), Ints{2, 3}, false);
       return Results{linear(t, t.dynamic_qdq(x), "w", {5, 6})};
     },
     0.06},
    {"linear_over_channels",
     [](ProgramBuilder& t) {
       Value* rows = t("aten.permute_copy.default", convolution(t, t.input({1, 3, 6, 6}), "v", {4, 3, 3, 3}), Ints{0, 2, 3, 1});
       return Results{linear(t, t.dynamic_rows(rows), "w", {5, 4})};
     },
     0.06},
    {"wide_convs_of_one_image",
     [](ProgramBuilder& t) {
       Value* x = t.dynamic_qdq(t.input({1, 3, 8, 8}));
       return Results{t.convolution(x, t.int8_weight("v", {4, 3, 3, 3}), nullptr),
                      t.convolution(x, t.int8_weight("w", {2, 3, 2, 3}), nullptr)};
     },
     near},
    {"pointwise_convs_of_one_image",
     [](ProgramBuilder& t) {
       Value* x = t.dynamic_qdq(t.input({1, 3, 8, 8}));
       return Results{t.convolution(x, t.int8_weight("v", {4, 3, 1, 1}), nullptr, 2),
                      t.convolution(x, t.int8_weight("w", {2, 3, 1, 1}), nullptr)};
     },
     near},
    {"wide_and_pointwise_conv_of_one_image",
     [](ProgramBuilder& t) {
       Value* x = t.dynamic_qdq(t.input({1, 3, 8, 8}));
       return Results{t.convolution(x, t.int8_weight("v", {4, 3, 3, 3}), nullptr),
                      t.convolution(x, t.int8_weight("w", {2, 3, 1, 1}), nullptr)};
     },
     near},
};

INSTANTIATE_TEST_SUITE_P(Xnnpack, DynamicAgreement, testing::ValuesIn(dynamic_cases),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace intaglio::xnnpack
