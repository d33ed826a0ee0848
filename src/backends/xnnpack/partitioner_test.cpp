// What is refused and why, on both sides of each limit, under the defaults and under compat=torchao.
#include <gtest/gtest.h>

#include <functional>

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "qdq/patterns.h"
#include "testing/program_builder.h"

namespace intaglio::xnnpack {
namespace {

using test::ProgramBuilder;

using Ints = std::vector<int64_t>;
using Build = std::function<std::vector<Value*>(ProgramBuilder&)>;

// The first refusal, or "".
std::string refusal(const Build& build, Compat compat = Compat::intaglio) {
  ProgramBuilder t;
  t.returns(build(t));
  const XnnpackPartitioner partitioner({.compat = compat});
  partitioner.transform(t.program);
  verify(t.program);
  const PartitionResult result = partitioner.partition(t.program);
  return result.refusals.empty() ? "" : result.refusals.front().rule;
}

struct Row {
  const char* name;
  Build build;
  const char* intaglio;  // expected refusal, "" for none
  const char* torchao;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

Build one(std::function<Value*(ProgramBuilder&)> build) {
  return [build](ProgramBuilder& t) { return std::vector<Value*>{build(t)}; };
}
Value* image(ProgramBuilder& t) { return t.input({1, 4, 8, 8}); }
SymInt symbol(const char* name) { return SymInt(parse_sym_expr(name), name, 3); }

constexpr const char* wide_stride = "max_pool2d_with_indices: the stride is within the window, or sizes but for the batch are static";
constexpr const char* unbounded = "quantize_per_tensor: every size has an upper bound (give the dynamic dimension a max)";
constexpr const char* too_large = "abs: sizes end at 2^31 - 1 (give the dynamic dimension a smaller max)";

const Row rows[] = {
    {"softmax_last", one([](ProgramBuilder& t) { return t("aten._softmax.default", image(t), -1, false); }), "", ""},
    {"softmax_channels", one([](ProgramBuilder& t) { return t("aten._softmax.default", image(t), 1, false); }), "",
     "_softmax: over the last dimension"},
    {"pow_2", one([](ProgramBuilder& t) { return t("aten.pow.Tensor_Scalar", image(t), 2); }), "", ""},
    {"pow_3", one([](ProgramBuilder& t) { return t("aten.pow.Tensor_Scalar", image(t), 3); }), "",
     "pow: the exponent is one of -2, -1, -1/2, 1/2, 2, 3, 4"},
    {"pow_2_and_a_half", one([](ProgramBuilder& t) { return t("aten.pow.Tensor_Scalar", image(t), 2.5); }),
     "pow: the exponent is one of -2, -1, -1/2, 1/2, 2, 3, 4", "pow: the exponent is one of -2, -1, -1/2, 1/2, 2, 3, 4"},
    {"add_alpha", one([](ProgramBuilder& t) {
       Node& node = t.node("aten.add.Tensor", {image(t), image(t)});
       t.program.graph().set_argument(node, "alpha", 2);
       return node.output();
     }),
     "", "add: alpha is finite"},
    {"linear_runtime_weight", one([](ProgramBuilder& t) { return t("aten.linear.default", t.input({2, 3}), t.input({4, 3})); }), "",
     "linear: the weight is a constant, or computed in float32"},
    {"linear_half_runtime_weight",
     one([](ProgramBuilder& t) { return t("aten.linear.default", t.input({2, 3}, DType::float16), t.input({4, 3}, DType::float16)); }),
     "linear: the weight is a constant, or computed in float32", "linear: the weight is a constant, or computed in float32"},
    {"mean_keepdim", one([](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{2, 3}, true); }), "", ""},
    {"mean_without_keepdim", one([](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{2, 3}, false); }), "", "mean: keepdim"},
    {"mean_of_rows", one([](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{3}, true); }), "",
     "mean: over neighbouring dimensions"},
    {"mean_of_scattered", one([](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{1, 3}, true); }),
     "mean: over neighbouring dimensions", "mean: over neighbouring dimensions"},
    {"mean_of_all", one([](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{}, false); }), "mean: at least one dimension",
     "mean: at least one dimension"},
    {"layer_norm", one([](ProgramBuilder& t) {
       return t.node("aten.native_layer_norm.default", {image(t), Ints{8}, Argument(), Argument(), 1e-5}).output();
     }),
     "", "aten.native_layer_norm.default: not delegated under compat=torchao"},
    {"where_of_runtime_mask",
     one([](ProgramBuilder& t) { return t("aten.where.self", t.input({2, 3}, DType::boolean), t.input({2, 3}), t.input({2, 3})); }),
     "where: all tensors are float32, or all float16", "aten.where.self: not delegated under compat=torchao"},
    {"avg_pool_counting_padding",
     one([](ProgramBuilder& t) { return t("aten.avg_pool2d.default", image(t), Ints{2, 2}, Ints{2, 2}, Ints{1, 1}, false, true); }), "",
     "avg_pool2d: padding is not counted"},
    {"max_pool_wide_stride",
     one([](ProgramBuilder& t) { return t.node("aten.max_pool2d_with_indices.default", {image(t), Ints{2, 2}, Ints{3, 3}}).output(); }), "",
     wide_stride},
    {"max_pool_wide_stride_padded", one([](ProgramBuilder& t) {
       return t.node("aten.max_pool2d_with_indices.default", {image(t), Ints{2, 2}, Ints{3, 3}, Ints{1, 1}}).output();
     }),
     "", wide_stride},
    {"max_pool_wide_stride_of_any_width", one([](ProgramBuilder& t) {
       t.program.range_constraints["s0"] = {4, 8};
       return t.node("aten.max_pool2d_with_indices.default", {t.input({1, 2, 8, symbol("s0")}), Ints{2, 2}, Ints{3, 3}}).output();
     }),
     wide_stride, wide_stride},
    {"avg_pool_ceil",
     one([](ProgramBuilder& t) { return t("aten.avg_pool2d.default", image(t), Ints{3, 3}, Ints{2, 2}, Ints{0, 0}, true, false); }), "",
     "avg_pool2d: ceil_mode is off"},
    {"max_pool_indices",
     [](ProgramBuilder& t) {
       Node& node = t.node("aten.max_pool2d_with_indices.default", {image(t), Ints{2, 2}});
       return std::vector<Value*>{node.output(0), node.output(1)};
     },
     "max_pool2d_with_indices: only the first result is used", "max_pool2d_with_indices: only the first result is used"},
    {"elu", one([](ProgramBuilder& t) { return t("aten.elu.default", image(t)); }), "",
     "aten.elu.default: not delegated under compat=torchao"},
    {"gelu_tanh", one([](ProgramBuilder& t) {
       Node& node = t.node("aten.gelu.default", {image(t)});
       t.program.graph().set_argument(node, "approximate", "tanh");
       return node.output();
     }),
     "", ""},
    {"slice_step", one([](ProgramBuilder& t) { return t("aten.slice_copy.Tensor", image(t), 1, 0, 4, 2); }), "",
     "slice_copy: step is 1, or at most one size is symbolic"},
    {"reflection", one([](ProgramBuilder& t) { return t("aten.reflection_pad2d.default", image(t), Ints{1, 2, 0, 3}); }), "",
     "aten.reflection_pad2d.default: not delegated under compat=torchao"},
    {"replication_wide", one([](ProgramBuilder& t) { return t("aten.replication_pad2d.default", image(t), Ints{1, 65, 0, 0}); }),
     "replication_pad2d: at most 64 rows or columns on a side", "aten.replication_pad2d.default: not delegated under compat=torchao"},
    {"replication_negative", one([](ProgramBuilder& t) { return t("aten.replication_pad2d.default", image(t), Ints{1, -1, 0, 0}); }),
     "replication_pad2d: no negative padding", "aten.replication_pad2d.default: not delegated under compat=torchao"},
    {"reflection_of_any_width", one([](ProgramBuilder& t) {
       t.program.range_constraints["s0"] = {4, 8};
       return t("aten.reflection_pad1d.default", t.input({2, 3, symbol("s0")}), Ints{1, 1});
     }),
     "reflection_pad1d: the padded sizes are static", "aten.reflection_pad1d.default: not delegated under compat=torchao"},
    {"pad_negative", one([](ProgramBuilder& t) { return t("aten.constant_pad_nd.default", image(t), Ints{-1, 0}, 0.0); }),
     "constant_pad_nd: no negative padding", "constant_pad_nd: no negative padding"},
    {"cat_same_twice", one([](ProgramBuilder& t) {
       Value* x = image(t);
       return t("aten.cat.default", std::vector<Value*>{x, x}, 1);
     }),
     "", "cat: distinct inputs"},
    {"upsample_factor_off", one([](ProgramBuilder& t) {
       return t("aten.upsample_bilinear2d.vec", t.input({1, 2, 5, 5}), Argument(), false, std::vector<double>{1.5, 1.5});
     }),
     "upsample_bilinear2d: the scale factors are the ratios of the sizes",
     "upsample_bilinear2d: the scale factors are the ratios of the sizes"},
    {"rank_6", one([](ProgramBuilder& t) { return t("aten.abs.default", t.input({1, 1, 1, 1, 2, 2})); }), "", ""},
    {"rank_7",  // the reshapes around it stay outside
     one([](ProgramBuilder& t) { return t("aten.abs.default", t.input({1, 1, 1, 1, 1, 2, 2})); }), "view_copy: at most 6 dimensions",
     "abs: at most 6 dimensions"},
    {"rank_7_without_a_flat_form",
     one([](ProgramBuilder& t) { return t("aten._softmax.default", t.input({1, 1, 1, 1, 1, 2, 2}), 0, false); }),
     "_softmax: at most 6 dimensions", "_softmax: at most 6 dimensions"},
    {"rank_7_quantized", one([](ProgramBuilder& t) { return t.qdq(t.input({1, 1, 1, 1, 1, 2, 2}), 0.1, 3); }),
     "view_copy: at most 6 dimensions", "quantize_per_tensor: at most 6 dimensions"},
    {"scalar_quantized", one([](ProgramBuilder& t) { return t.qdq(t.input({}), 0.1, 3); }), "quantize_per_tensor: at least one dimension",
     "quantize_per_tensor: at least one dimension"},
    {"empty", one([](ProgramBuilder& t) { return t("aten.abs.default", t.input({0, 2})); }), "abs: no empty tensor",
     "abs: no empty tensor"},
    {"integers", one([](ProgramBuilder& t) { return t("aten.abs.default", t.input({2}, DType::int64)); }),
     "abs: all tensors are float32, or all float16", "abs: all tensors are float32, or all float16"},
    {"unknown_op", one([](ProgramBuilder& t) { return t("aten.cumsum.default", image(t), 1); }),
     "aten.cumsum.default: XNNPACK has no such op", "aten.cumsum.default: XNNPACK has no such op"},
    {"symbol_with_bound", one([](ProgramBuilder& t) {
       t.program.range_constraints["s0"] = {1, 8};
       return t("aten.abs.default", t.input({symbol("s0"), 2}));
     }),
     "", ""},
    {"symbol_without_bound", one([](ProgramBuilder& t) { return t("aten.abs.default", t.input({symbol("s0"), 2})); }),
     "abs: every size has an upper bound (give the dynamic dimension a max)",
     "abs: every size has an upper bound (give the dynamic dimension a max)"},
    {"symbol_without_bound_quantized", one([](ProgramBuilder& t) { return t.qdq(t.input({symbol("s0"), 2}), 0.1, 3); }), unbounded,
     unbounded},
    {"symbol_with_largest_bound", one([](ProgramBuilder& t) {
       t.program.range_constraints["s0"] = {1, (int64_t{1} << 31) - 1};
       return t("aten.abs.default", t.input({symbol("s0"), 2}));
     }),
     "", ""},
    {"symbol_beyond_int32", one([](ProgramBuilder& t) {
       t.program.range_constraints["s0"] = {1, int64_t{1} << 31};
       return t("aten.abs.default", t.input({symbol("s0"), 2}));
     }),
     too_large, too_large},
    {"quantize_uint8",
     one([](ProgramBuilder& t) { return t("quantized_decomposed.quantize_per_tensor.default", image(t), 0.1, 0, 0, 255, DType::uint8); }),
     "quantize_per_tensor: static int8 per tensor over [-128, 127] from and to float32",
     "quantize_per_tensor: static int8 per tensor over [-128, 127] from and to float32"},
    {"weights_only", one([](ProgramBuilder& t) { return t("aten.linear.default", t.input({3, 9}), t.int8_weight("w", {5, 9})); }), "",
     "linear: quantized weights need a quantized input and output"},
    {"lone_view", one([](ProgramBuilder& t) { return t("aten.view_copy.default", image(t), Ints{4, 64}); }),
     "view_copy: alone it costs less outside a delegate", ""},
    {"view_beside_others", one([](ProgramBuilder& t) { return t("aten.abs.default", t("aten.view_copy.default", image(t), Ints{4, 64})); }),
     "", ""},
};

class Refusals : public testing::TestWithParam<Row> {};
TEST_P(Refusals, AreNamed) {
  EXPECT_EQ(refusal(GetParam().build), GetParam().intaglio);
  EXPECT_EQ(refusal(GetParam().build, Compat::torchao), GetParam().torchao);
}
INSTANTIATE_TEST_SUITE_P(Xnnpack, Refusals, testing::ValuesIn(rows), [](const auto& info) { return std::string(info.param.name); });

TEST(Partitioner, AChainReadsOnceWhatStaysOutside) {
  for (const Compat compat : {Compat::intaglio, Compat::torchao}) {
    ProgramBuilder t;
    Value* bytes = t("quantized_decomposed.dequantize_per_tensor.default", t.input({3, 9}, DType::uint8), 0.02, 128, 0, 255, DType::uint8);
    t.returns({t("aten.linear.default", t.dynamic_qdq(bytes), t.int8_weight("w", {5, 9}))});
    const XnnpackPartitioner partitioner({.compat = compat});
    partitioner.transform(t.program);
    const PartitionResult result = partitioner.partition(t.program);
    ASSERT_EQ(result.partitions.size(), 1u);
    ASSERT_EQ(result.refusals.size(), 1u);
    const Node& outside = *result.refusals.front().node;
    EXPECT_TRUE(qdq::is_dequantize(outside));
    EXPECT_EQ(outside.output()->users().size(), 2u);
  }
}

TEST(Partitioner, OneUnsupportedOpSplitsOnce) {
  ProgramBuilder t;
  Value* x = t.input({2, 8});
  Value* a = t("aten.abs.default", x);
  Value* b = t("aten.cumsum.default", a, 1);
  Value* beside = t("aten.neg.default", x);  // no path through cumsum: with the first
  t.returns({t("aten.add.Tensor", t("aten.sin.default", b), a), beside});
  const PartitionResult result = XnnpackPartitioner().partition(t.program);
  ASSERT_EQ(result.partitions.size(), 2u);
  EXPECT_EQ(result.partitions[0].nodes.size(), 2u);
  EXPECT_EQ(result.partitions[1].nodes.size(), 2u);
  ASSERT_EQ(result.refusals.size(), 1u);
  EXPECT_TRUE(result.refusals[0].node->is("aten.cumsum.default"));
}

// int8, not float, crosses from one delegate to the next.
TEST(Partitioner, DequantizeGoesWithItsReader) {
  ProgramBuilder t;
  Value* q = t.quantize(t.input({2, 8}), 0.05, 0);
  Value* x = t.dequantize(q, 0.05, 0);
  Value* outside = t("aten.cumsum.default", x, 1);
  Value* sum = t("aten.add.Tensor", t.qdq(outside, 0.1, 0), x);
  t.returns({t.qdq(sum, 0.1, 0)});
  const XnnpackPartitioner partitioner;
  partitioner.transform(t.program);
  const PartitionResult result = partitioner.partition(t.program);
  ASSERT_EQ(result.partitions.size(), 2u);
  EXPECT_EQ(result.partitions[0].nodes.size(), 2u);  // quantize, and the dequantize that cumsum reads
  EXPECT_EQ(result.partitions[1].nodes.size(), 6u);
  for (const Node* node : result.partitions[1].nodes)
    for (const Value* input : node->inputs()) { EXPECT_TRUE(input != q || qdq::is_tensor_or_channel_dequantize(*node)); }
}

TEST(Partitioner, SymbolicViewIsInferred) {
  ProgramBuilder t;
  t.program.range_constraints["s0"] = {1, 8};
  Value* x = t.input({symbol("s0"), 4, 2, 2});
  Node& size = t.program.graph().insert_before(nullptr, Op::get("aten.sym_size.int"), {{"self", x}, {"dim", 0}},
                                               {{.kind = ValueKind::sym_int, .sym = symbol("s0")}});
  Node& view = t.program.graph().insert_before(nullptr, Op::get("aten.view_copy.default"),
                                               {{"self", x}, {"size", std::vector<SymArg>{size.output(), int64_t{16}}}},
                                               {{.meta = TensorMeta::contiguous(DType::float32, {symbol("s0"), 16})}});
  t.returns({t("aten.abs.default", view.output())});
  const XnnpackPartitioner partitioner;
  partitioner.transform(t.program);
  EXPECT_EQ(view.integers("size"), (Ints{-1, 16}));
  const PartitionResult result = partitioner.partition(t.program);
  ASSERT_EQ(result.partitions.size(), 1u);
  EXPECT_EQ(result.partitions[0].nodes.size(), 2u);
}

TEST(Partitioner, KeepsWhatItTakesWhole) {
  ProgramBuilder t;
  Value* x = t.input({2, 3});
  Node& constant = t.node("aten.linear.default", {x, t.weight("w", {4, 3})});
  Node& runtime = t.node("aten.linear.default", {x, t.input({4, 3})});
  Node& bias = t.node("aten.linear.default", {x, t.weight("v", {4, 3}), t.input({4})});
  Node& other = t.node("aten.softplus.default", {x});
  Node& swish = t.node("aten.hardswish.default", {x});
  t.returns({constant.output(), runtime.output(), bias.output(), other.output(), swish.output()});
  const XnnpackPartitioner partitioner;
  EXPECT_TRUE(partitioner.keeps(t.program, constant));
  EXPECT_TRUE(partitioner.keeps(t.program, runtime));
  EXPECT_FALSE(partitioner.keeps(t.program, bias));
  EXPECT_FALSE(partitioner.keeps(t.program, other));
  EXPECT_TRUE(partitioner.keeps(t.program, swish));
}

}  // namespace
}  // namespace intaglio::xnnpack
