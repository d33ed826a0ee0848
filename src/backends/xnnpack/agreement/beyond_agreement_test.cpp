// What the runtime's nodes can do and ExecuTorch's own lowering leaves outside, against portable kernels.
#include "backends/xnnpack/agreement/agreement_for_tests.h"

namespace intaglio::xnnpack {
namespace {

using namespace agreement;

class Beyond : public testing::TestWithParam<Case> {};

TEST_P(Beyond, AgreesWithPortableKernels) { expect_agreement(GetParam()); }

Value* positive(ProgramBuilder& t) { return t("aten.add.Scalar", t("aten.abs.default", t.input({2, 3, 4})), 0.5); }
Build power(double exponent) {
  return [=](ProgramBuilder& t) { return Results{t("aten.pow.Tensor_Scalar", positive(t), exponent)}; };
}
Build with_alpha(const char* op, double alpha, bool constant) {
  return [=](ProgramBuilder& t) {
    Value* x = t.input({2, 3, 4});
    Node& node = t.node(op, {x, constant ? t.weight("w", {3, 1}) : t.input({2, 3, 4})});
    t.program.graph().set_argument(node, "alpha", alpha);
    return Results{node.output()};
  };
}
Value* tanh_gelu(ProgramBuilder& t, Value* x) { return t("aten.gelu.default", x, std::string("tanh")); }
Results group_norm(ProgramBuilder& t, Value* x, int64_t groups) {
  const SymSizes sizes = x->sizes();
  const int64_t channels = sizes[1].value(), area = sizes[2].value() * sizes[3].value();
  return {t.node("aten.native_group_norm.default",
                 {x, t.weight("w", {channels}), t.weight("b", {channels}), sizes[0].value(), channels, area, groups, 1e-5})
              .output()};
}
Build batch_statistics(SymSizes sizes) {
  return [=](ProgramBuilder& t) {
    const int64_t channels = sizes[1].value();
    return Results{t.node("aten._native_batch_norm_legit.no_stats",
                          {t.input(sizes), t.weight("w", {channels}), t.weight("b", {channels}), true, 0.1, 1e-5})
                       .output()};
  };
}
Build nearest(SymSizes sizes, double vertical, double horizontal) {
  return [=](ProgramBuilder& t) {
    Value* y = t.convolution(t.input(sizes), t.weight("w", {4, 3, 3, 3}), nullptr);
    return Results{t("aten.upsample_nearest2d.vec", y, Argument(), std::vector<double>{vertical, horizontal})};
  };
}
Build average(bool counted, int64_t divisor) {
  return [=](ProgramBuilder& t) {
    return Results{t("aten.avg_pool2d.default", t.input({1, 3, 8, 8}), Ints{3, 3}, Ints{2, 2}, Ints{1, 1}, false, counted,
                     divisor == 0 ? Argument() : Argument(divisor))};
  };
}

Build ceil_average(int64_t padding, bool counted, int64_t divisor) {
  return [=](ProgramBuilder& t) {
    return Results{t("aten.avg_pool2d.default", t.input({2, 3, 8, 11}), Ints{3, 4}, Ints{2, 3}, Ints{padding, padding}, true, counted,
                     divisor == 0 ? Argument() : Argument(divisor))};
  };
}
Value* max_pool(ProgramBuilder& t, Value* x, Ints window, Ints stride) {
  return t.node("aten.max_pool2d_with_indices.default", {x, std::move(window), std::move(stride)}).output();
}
Build sparse_maximum(Ints window, Ints stride, DType dtype = DType::float32) {
  return [=](ProgramBuilder& t) { return Results{max_pool(t, t.input({2, 3, 11, 13}, dtype), window, stride)}; };
}

Build border(const char* op, SymSizes sizes, Ints padding, DType dtype = DType::float32) {
  return [=](ProgramBuilder& t) { return Results{t(op, t.input(sizes, dtype), padding)}; };
}
Build int8_border(const char* op, Ints padding) {
  return [=](ProgramBuilder& t) { return Results{t.qdq(t(op, t.qdq(t.input({1, 3, 6, 7}), 0.024, 5), padding), 0.024, 5)}; };
}
Build window_maximum(Ints window, Ints stride, Ints padding, Ints dilation, bool ceil, bool int8) {
  return [=](ProgramBuilder& t) {
    Value* x = t.input({2, 3, 26, 27});
    if (int8) x = t.qdq(x, 0.024, 5);
    Value* y = t.node("aten.max_pool2d_with_indices.default", {x, window, stride, padding, dilation, ceil}).output();
    return Results{int8 ? t.qdq(y, 0.024, 5) : y};
  };
}
Build half_layer_norm(SymSizes sizes, Ints normalized) {
  return [=](ProgramBuilder& t) {
    return Results{
        t.node("aten.native_layer_norm.default", {t.input(sizes, DType::float16), normalized, Argument(), Argument(), 1e-5}).output()};
  };
}

const Case beyond_cases[] = {
    {"reflection_line", border("aten.reflection_pad1d.default", {2, 3, 9}, {2, 8})},
    {"reflection_image", border("aten.reflection_pad2d.default", {2, 3, 6, 7}, {3, 1, 0, 2})},
    {"reflection_volume", border("aten.reflection_pad3d.default", {3, 4, 5, 6}, {1, 0, 2, 2, 0, 3})},
    {"reflection_half", border("aten.reflection_pad2d.default", {1, 3, 6, 7}, {1, 1, 1, 1}, DType::float16)},
    {"replication_line", border("aten.replication_pad1d.default", {3, 9}, {20, 1})},
    {"replication_image", border("aten.replication_pad2d.default", {3, 6, 7}, {0, 0, 7, 1})},
    {"replication_volume", border("aten.replication_pad3d.default", {1, 3, 4, 5, 6}, {1, 2, 3, 4, 5, 6})},
    {"int8_reflection", int8_border("aten.reflection_pad2d.default", {3, 1, 2, 2}), 0},
    {"int8_replication", int8_border("aten.replication_pad2d.default", {3, 1, 2, 2}), 0},
    {"max_pool_of_one", window_maximum({1, 1}, {2, 3}, {0, 0}, {1, 1}, false, false)},
    {"max_pool_gaps_padded", window_maximum({2, 3}, {3, 5}, {1, 1}, {1, 1}, true, false)},
    {"max_pool_gaps_dilated", window_maximum({2, 3}, {5, 4}, {1, 1}, {3, 2}, true, false)},
    {"int8_max_pool_of_one", window_maximum({1, 1}, {2, 3}, {0, 0}, {1, 1}, true, true), 0},
    {"int8_max_pool_gaps_padded", window_maximum({2, 3}, {3, 5}, {1, 1}, {1, 1}, true, true), 0},
    {"int8_max_pool_gaps_dilated", window_maximum({2, 3}, {5, 4}, {1, 1}, {3, 2}, true, true), 0},
    {"cast_to_half_and_back",
     [](ProgramBuilder& t) {
       Value* x = t.input({2, 3, 4});
       Node& narrow = t.node("dim_order_ops._to_dim_order_copy.default", {x});
       t.program.graph().set_argument(narrow, "dtype", DType::float16);
       narrow.output()->meta().dtype = DType::float16;
       Node& wide = t.node("dim_order_ops._to_dim_order_copy.default", {t("aten.sin.default", narrow.output())});
       t.program.graph().set_argument(wide, "dtype", DType::float32);
       wide.output()->meta().dtype = DType::float32;
       return Results{t("aten.mul.Tensor", wide.output(), x)};
     },
     1e-3},
    {"half_layer_norm", half_layer_norm({2, 5, 32}, {32}), 1e-3},
    {"half_layer_norm_of_two", half_layer_norm({2, 5, 32}, {5, 32}), 1e-3},
    {"half_group_norm",
     [](ProgramBuilder& t) {
       Value* x = t.input({2, 6, 3, 5}, DType::float16);
       return Results{t.node("aten.native_group_norm.default", {x, Argument(), Argument(), 2, 6, 15, 2, 1e-5}).output()};
     },
     2e-3},
    {"half_gelu", [](ProgramBuilder& t) { return Results{t("aten.gelu.default", t.input({2, 30}, DType::float16))}; }, 1e-3},
    {"half_mean_of_rows", [](ProgramBuilder& t) { return Results{t("aten.mean.dim", t.input({5, 300}, DType::float16), Ints{-1}, true)}; },
     1e-3},
    {"pow_minus_2", power(-2)},
    {"pow_minus_1", power(-1)},
    {"pow_minus_half", power(-0.5)},
    {"pow_half", power(0.5)},
    {"pow_3", [](ProgramBuilder& t) { return Results{t("aten.pow.Tensor_Scalar", t.input({2, 3, 4}), 3)}; }},
    {"pow_4", power(4)},
    {"reciprocal", [](ProgramBuilder& t) { return Results{t("aten.reciprocal.default", positive(t))}; }},
    {"add_alpha", with_alpha("aten.add.Tensor", 2.5, false)},
    {"sub_alpha", with_alpha("aten.sub.Tensor", -3, false)},
    {"add_alpha_constant", with_alpha("aten.add.Tensor", 2, true)},
    {"int8_add_alpha",  // in float, between converts
     [](ProgramBuilder& t) {
       Value* x = t.qdq(t.input({2, 3, 4}), 0.024, 5);
       Node& node = t.node("aten.add.Tensor", {x, t.qdq(t.input({2, 3, 4}), 0.024, 5)});
       t.program.graph().set_argument(node, "alpha", 2);
       return Results{t.qdq(node.output(), 0.05, 3)};
     },
     0.051},
    {"gelu_tanh", [](ProgramBuilder& t) { return Results{tanh_gelu(t, t.input({2, 3, 40}))}; }},
    {"half_gelu_tanh", [](ProgramBuilder& t) { return Results{tanh_gelu(t, t.input({2, 3, 40}, DType::float16))}; }, 4e-3},
    {"int8_gelu_tanh", [](ProgramBuilder& t) { return Results{t.qdq(tanh_gelu(t, t.qdq(t.input({2, 30}), 0.024, 5)), 0.02, -120)}; },
     0.021},
    {"selu", [](ProgramBuilder& t) { return Results{t("aten.elu.default", t.input({2, 3, 4}), 1.6732632, 1.0507009, 1.0)}; }},
    {"celu", [](ProgramBuilder& t) { return Results{t("aten.elu.default", t.input({2, 3, 4}), 1.5, 1.0, 1 / 1.5)}; }},
    {"softmax_rows", [](ProgramBuilder& t) { return Results{t("aten._softmax.default", t.input({2, 3, 4, 5}), 2, false)}; }},
    {"softmax_first", [](ProgramBuilder& t) { return Results{t("aten._softmax.default", t.input({3, 4}), 0, false)}; }},
    {"softmax_middle", [](ProgramBuilder& t) { return Results{t("aten._softmax.default", t.input({2, 3, 4}), -2, false)}; }},
    {"mm_of_values", [](ProgramBuilder& t) { return Results{t("aten.mm.default", t.input({3, 4}), t.input({4, 5}))}; }},
    {"linear_of_values",
     [](ProgramBuilder& t) { return Results{t("aten.linear.default", t.input({2, 3, 4}), t.input({5, 4}), t.weight("b", {5}))}; }},
    {"linear_of_values_and_bias",
     [](ProgramBuilder& t) { return Results{t("aten.linear.default", t.input({3, 4}), t.input({5, 4}), t.input({5}))}; }},
    {"addmm_of_values", [](ProgramBuilder& t) { return Results{t("aten.addmm.default", t.input({5}), t.input({3, 4}), t.input({4, 5}))}; }},
    {"bmm_with_constant", [](ProgramBuilder& t) { return Results{t("aten.bmm.default", t.input({2, 3, 4}), t.weight("w", {2, 4, 5}))}; }},
    {"cat_of_same",
     [](ProgramBuilder& t) {
       Value* x = t("aten.sin.default", t.input({2, 3}));
       return Results{t("aten.cat.default", Results{x, x, t.input({2, 3}), x}, 1)};
     }},
    {"cat_of_one", [](ProgramBuilder& t) { return Results{t("aten.sin.default", t("aten.cat.default", Results{t.input({2, 3})}, 1))}; }},
    {"avg_pool_counted", average(true, 0)},
    {"avg_pool_divisor", average(false, 5)},
    {"avg_pool_counted_and_divisor", average(true, 4)},
    {"avg_pool_ceil", ceil_average(0, true, 0)},
    {"avg_pool_ceil_padded", ceil_average(1, false, 0)},
    {"avg_pool_ceil_counted", ceil_average(1, true, 0)},
    {"avg_pool_ceil_divisor", ceil_average(1, false, 5)},
    {"max_pool_sparse", sparse_maximum({2, 2}, {3, 3})},
    {"max_pool_sparse_cut_short", sparse_maximum({2, 3}, {5, 4})},
    {"max_pool_sparse_columns", sparse_maximum({3, 2}, {2, 6})},
    {"max_pool_sparse_half", sparse_maximum({2, 1}, {3, 2}, DType::float16)},
    {"int8_max_pool_sparse",
     [](ProgramBuilder& t) { return Results{t.qdq(max_pool(t, t.qdq(t.input({1, 3, 11, 13}), 0.024, 5), {2, 2}, {3, 4}), 0.024, 5)}; }},
    {"max_pool_sparse_behind_convolution",
     [](ProgramBuilder& t) {
       return Results{max_pool(t, t.convolution(t.input({1, 3, 9, 9}), t.weight("w", {4, 3, 3, 3}), nullptr), {2, 2}, {3, 3})};
     }},
    {"amin", [](ProgramBuilder& t) { return Results{t("aten.amin.default", t.input({2, 5, 7}), Ints{1}, false)}; }},
    {"group_norm", [](ProgramBuilder& t) { return group_norm(t, t.input({2, 6, 3, 5}), 2); }},
    {"group_norm_long", [](ProgramBuilder& t) { return group_norm(t, t.input({1, 4, 50, 50}), 1); }},
    {"instance_norm", batch_statistics({1, 4, 3, 5})},
    {"batch_statistics", batch_statistics({3, 4, 3, 5})},
    {"batch_statistics_of_rows", batch_statistics({6, 4})},
    {"batch_statistics_of_lines", batch_statistics({2, 4, 9})},
    {"batch_statistics_of_volumes", batch_statistics({2, 4, 3, 2, 5})},
    {"nearest", nearest({1, 3, 6, 7}, 2, 2)},
    {"nearest_uneven", nearest({2, 3, 6, 7}, 3, 1)},
};

INSTANTIATE_TEST_SUITE_P(Xnnpack, Beyond, testing::ValuesIn(beyond_cases), [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace intaglio::xnnpack
