// The pieces that transformers and recurrent layers are made of, inside one delegate and on portable kernels.
#include "backends/xnnpack/agreement/agreement_for_tests.h"

namespace intaglio::xnnpack {
namespace {

using namespace agreement;

class Blocks : public testing::TestWithParam<Case> {};

TEST_P(Blocks, AgreeWithPortableKernels) { expect_agreement(GetParam()); }

// mean, sum or amax: of a tensor over dimensions.
Build reduction(const char* op, SymSizes sizes, Ints dims, bool keepdim) {
  return [=](ProgramBuilder& t) { return Results{t(op, t.input(sizes), dims, keepdim)}; };
}
Results layer_norm(ProgramBuilder& t, Value* x, const Sizes& normalized, bool affine) {
  const Argument weight = affine ? Argument(t.weight("w", normalized)) : Argument();
  const Argument bias = affine ? Argument(t.weight("b", normalized)) : Argument();
  return {t.node("aten.native_layer_norm.default", {x, Ints(normalized.begin(), normalized.end()), weight, bias, 1e-5}).output()};
}
Value* far_from_zero(ProgramBuilder& t) { return t("aten.add.Scalar", t.input({2, 5, 12}), 1000); }
Build slices(SymSizes sizes, int64_t dim, int64_t start, int64_t end, int64_t step) {
  return
      [=](ProgramBuilder& t) { return Results{t("aten.slice_copy.Tensor", t("aten.sin.default", t.input(sizes)), dim, start, end, step)}; };
}
Build chosen(std::vector<bool> mask, double fill, bool fill_first) {
  return [=](ProgramBuilder& t) {
    Tensor tensor = Tensor::empty(DType::boolean, {static_cast<int64_t>(mask.size())});
    std::copy(mask.begin(), mask.end(), tensor.mutable_data<bool>());
    Value* condition = t.buffer("mask", tensor);
    Value* number = t.buffer("fill", Tensor::scalar(static_cast<float>(fill)));
    Value* x = t.input({3, 4});
    Value* y = fill_first ? t("aten.where.self", condition, number, x) : t("aten.where.self", condition, x, number);
    return Results{std::isinf(fill) ? t("aten._softmax.default", y, -1, false) : y};
  };
}
const double infinity = std::numeric_limits<double>::infinity();

const Case block_cases[] = {
    {"mean_last", reduction("aten.mean.dim", {2, 3, 7}, {-1}, true)},
    {"mean_last_dropped", reduction("aten.mean.dim", {2, 3, 7}, {2}, false)},
    {"mean_last_two", reduction("aten.mean.dim", {2, 3, 7}, {1, 2}, false)},
    {"mean_last_two_of_five", reduction("aten.mean.dim", {2, 3, 2, 3, 4}, {-1, -2}, true)},
    {"mean_middle", reduction("aten.mean.dim", {2, 5, 7}, {1}, false)},
    {"mean_first", reduction("aten.mean.dim", {5, 7}, {0}, true)},
    {"mean_of_all", reduction("aten.mean.dim", {5, 7}, {}, true)},
    {"mean_channels", reduction("aten.mean.dim", {2, 5, 3, 4}, {1}, true)},
    {"mean_last_symbolic", [](ProgramBuilder& t) { return Results{t("aten.mean.dim", t.input({batch(t), 3, 7}), Ints{-1}, true)}; }},
    {"mean_half", [](ProgramBuilder& t) { return Results{t("aten.mean.dim", half(t, {3, 64}), Ints{-1}, true)}; }, 2e-3},
    {"sum_last", reduction("aten.sum.dim_IntList", {2, 3, 7}, {-1}, true)},
    {"sum_middle", reduction("aten.sum.dim_IntList", {2, 5, 7}, {1}, false)},
    {"amax_last", reduction("aten.amax.default", {2, 3, 7}, {-1}, true)},
    {"amax_middle", reduction("aten.amax.default", {2, 5, 7}, {1}, false)},
    {"amax_image", reduction("aten.amax.default", {2, 5, 7, 4}, {2, 3}, true)},
    {"max_rows", [](ProgramBuilder& t) { return Results{t.node("aten.max.dim", {t.input({2, 3, 5, 7}), int64_t{2}, true}).output()}; }},
    {"max_columns",
     [](ProgramBuilder& t) { return Results{t.node("aten.max.dim", {t.input({2, 3, 5, 7}), int64_t{-1}, false}).output()}; }},
    {"layer_norm", [](ProgramBuilder& t) { return layer_norm(t, t.input({2, 5, 12}), {12}, true); }},
    {"layer_norm_plain", [](ProgramBuilder& t) { return layer_norm(t, t.input({2, 5, 12}), {12}, false); }},
    {"layer_norm_of_two", [](ProgramBuilder& t) { return layer_norm(t, t.input({2, 5, 12}), {5, 12}, true); }},
    {"layer_norm_symbolic", [](ProgramBuilder& t) { return layer_norm(t, t.input({batch(t), 5, 12}), {12}, true); }},
    {"layer_norm_far_from_zero", [](ProgramBuilder& t) { return layer_norm(t, far_from_zero(t), {12}, false); }, 5e-4,
     // The portable kernel subtracts squares of what is far from zero, and is off by a hundredth.
     [](ProgramBuilder& t) {
       Value* x = far_from_zero(t);
       Value* centered = t("aten.sub.Tensor", x, t("aten.mean.dim", x, Ints{-1}, true));
       Value* variance = t("aten.mean.dim", t("aten.mul.Tensor", centered, centered), Ints{-1}, true);
       return Results{t("aten.mul.Tensor", centered, t("aten.rsqrt.default", t("aten.add.Scalar", variance, 1e-5)))};
     }},
    // A thousand equal squares, added one by one, are all rounded the same way.
    {"layer_norm_half_zeros",
     [](ProgramBuilder& t) {
       Value* x = t("aten.add.Scalar", t.input({2, 768}), 3);
       return layer_norm(t, t("aten.constant_pad_nd.default", x, Ints{0, 768}, 0), {1536}, false);
     },
     2e-6},
    {"slice_even", slices({2, 3, 8}, 2, 0, 8, 2)},
    {"slice_odd", slices({2, 3, 8}, -1, 1, 8, 2)},
    {"slice_of_cut_step", slices({2, 3, 7}, 2, 1, 7, 3)},
    {"slice_window_before_end", slices({2, 7, 3}, 1, 3, 7, 3)},
    {"slice_behind_padding", slices({2, 5, 3}, 1, 0, 5, 2)},
    {"slice_image_rows", slices({2, 3, 9, 4}, 2, 1, 8, 3)},
    {"slice_first", slices({8, 3}, 0, -7, 8, 4)},
    {"expand",
     [](ProgramBuilder& t) {
       return Results{t("aten.sin.default", t("aten.expand_copy.default", t.input({2, 1, 3, 4}), Ints{2, 5, 3, 4}))};
     }},
    {"expand_in_front",
     [](ProgramBuilder& t) { return Results{t("aten.sin.default", t("aten.expand_copy.default", t.input({3, 1}), Ints{2, -1, 5}))}; }},
    {"expand_of_five",
     [](ProgramBuilder& t) {
       return Results{t("aten.sin.default", t("aten.expand_copy.default", t.input({1, 2, 1, 3, 4}), Ints{1, 2, 4, 3, 4}))};
     }},
    {"expand_then_add",
     [](ProgramBuilder& t) {
       Value* wide = t("aten.expand_copy.default", t.input({2, 1, 4}), Ints{2, 3, 4});
       return Results{t("aten.add.Tensor", wide, t.input({2, 3, 4})), t("aten.mul.Tensor", t.input({2, 3, 4}), wide)};
     }},
    {"expand_then_add_itself",
     [](ProgramBuilder& t) {
       Value* wide = t("aten.expand_copy.default", t.input({2, 1, 4}), Ints{2, 3, 4});
       return Results{t("aten.add.Tensor", wide, wide)};
     }},
    {"expand_symbolic",
     [](ProgramBuilder& t) {
       const SymInt n = batch(t);
       Value* wide = t("aten.expand_copy.default", t.input({n, 1, 4}), Ints{-1, 3, 4});
       return Results{t("aten.sin.default", wide)};
     }},
    {"where_masked_out", chosen({true, false, true, true}, -infinity, false)},
    {"where_number", chosen({true, false, true, false}, 0.75, false)},
    {"where_nothing", chosen({true, true, true, true}, 0.75, false)},
    {"where_number_first", chosen({true, false, true, false}, -0.75, true)},
};

INSTANTIATE_TEST_SUITE_P(Xnnpack, Blocks, testing::ValuesIn(block_cases), [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace intaglio::xnnpack
