#include <gtest/gtest.h>

#include "decompose/decompose.h"
#include "decompose/programs_for_tests.h"
#include "edge/passes/dim_order_ops.h"
#include "edge/passes/erase_asserts.h"
#include "edge/passes/fold_constants.h"
#include "edge/passes/fold_quantization.h"
#include "edge/passes/inline_subgraphs.h"
#include "edge/passes/make_contiguous.h"
#include "edge/passes/merge_duplicates.h"
#include "edge/passes/promote_mixed_dtypes.h"
#include "edge/passes/restore_linear.h"
#include "edge/passes/scalars_to_tensors.h"
#include "edge/passes/share_repeated_heads.h"
#include "edge/passes/views_to_copies.h"

namespace intaglio {
namespace {

using test::TestProgram;
using Ints = std::vector<int64_t>;

Value* quantize(TestProgram& t, Value* x, double scale) {
  return t.op("quantized_decomposed.quantize_per_tensor.default", {x, scale, 0, -128, 127, DType::int8});
}
Value* dequantize(TestProgram& t, Value* x, double scale) {
  return t.op("quantized_decomposed.dequantize_per_tensor.default", {x, scale, 0, -128, 127, DType::int8});
}

TEST(EraseAsserts, ChecksGoAndWhatOnlyTheyUsed) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* checked = t.op("aten.relu.default", {x});
  t.raw("aten._assert_tensor_metadata.default", {{"a", checked}}, {});
  t.returns({t.op("aten.neg.default", {x})});
  erase_asserts(t.program);
  EXPECT_EQ(t.ops(), "neg");
}

// Queries of 4 heads against keys of 2, each repeated `times` times, transposed behind the repetition or not.
void grouped_product(TestProgram& t, bool transposed, int64_t times) {
  Value* queries = t.input("q", {4, 5, 8});
  Value* keys = t.input("k", {1, 4 / times, 1, transposed ? 6 : 8, transposed ? 8 : 6});
  const int64_t rows = transposed ? 6 : 8, columns = transposed ? 8 : 6;
  Value* wide = t.op("aten.expand.default", {keys, Ints{1, 4 / times, times, rows, columns}});
  Value* heads = t.op("aten.view.default", {wide, Ints{1, 4, rows, columns}});
  if (transposed) heads = t.op("aten.permute.default", {heads, Ints{0, 1, 3, 2}});
  t.returns({t.op("aten.bmm.default", {queries, t.op("aten.view.default", {heads, Ints{4, 8, 6}})})});
}

TEST(ShareRepeatedHeads, OneProductPerKey) {
  TestProgram t;
  grouped_product(t, true, 2);
  share_repeated_heads(t.program);
  verify(t.program);
  test::expect_golden("share_repeated_heads", t.program);
}

TEST(ShareRepeatedHeads, ValuesAreNotTransposed) {
  TestProgram t;
  grouped_product(t, false, 4);
  share_repeated_heads(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "view view bmm view");
}

TEST(ShareRepeatedHeads, OtherExpandsStay) {
  TestProgram t;
  Value* queries = t.input("q", {4, 5, 8});
  Value* keys = t.op("aten.expand.default", {t.input("k", {1, 1, 2, 8, 6}), Ints{1, 2, 2, 8, 6}});  // the groups grow
  Value* heads = t.op("aten.view.default", {t.op("aten.view.default", {keys, Ints{1, 4, 8, 6}}), Ints{4, 8, 6}});
  t.returns({t.op("aten.bmm.default", {queries, heads})});
  share_repeated_heads(t.program);
  EXPECT_EQ(t.ops(), "expand view view bmm");
}

TEST(ViewsToCopies, EveryViewOp) {
  TestProgram t;
  Value* x = t.input("x", {2, 3});
  Value* y = t.op("aten.permute.default", {t.op("aten.view.default", {x, Ints{3, 2}}), Ints{1, 0}});
  t.returns({t.op("aten.slice.Tensor", {y, 0, 0, 1})});
  views_to_copies(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "view_copy permute_copy slice_copy");
}

TEST(ScalarsToTensors, ConstantsTakeTheComputedType) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* i = t.input("i", {2}, DType::int64);
  Value* sum = t.op("aten.add.Tensor", {t.op("aten.add.Tensor", {x, 2}), 2});
  Value* half = t.op("aten.div.Tensor", {i, 2});
  t.returns({sum, half, t.op("aten.gt.Scalar", {x, 0})});
  scalars_to_tensors(t.program);
  verify(t.program);
  test::expect_golden("scalars_to_tensors", t.program);
  const Tensor* two = t.program.constant(sum->producer()->tensor("other"));
  ASSERT_NE(two, nullptr);
  EXPECT_EQ(two->data<float>()[0], 2.0f);
  EXPECT_EQ(half->producer()->tensor("other"), sum->producer()->tensor("other"));
}

TEST(PromoteMixedDtypes, CastsTheNarrowOperand) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* i = t.input("i", {2}, DType::int64);
  t.returns({t.op("aten.mul.Tensor", {i, x})});
  promote_mixed_dtypes(t.program);
  dim_order_ops(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "_to_dim_order_copy mul");
  EXPECT_EQ(t.program.graph().node_list()[0]->output()->dtype(), DType::float32);
}

TEST(FoldQuantization, EqualParametersOnly) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* q = quantize(t, x, 0.5);
  Value* same = quantize(t, dequantize(t, q, 0.5), 0.5);
  Value* other = quantize(t, dequantize(t, q, 0.5), 0.25);
  t.returns({dequantize(t, same, 0.5), dequantize(t, other, 0.25)});
  fold_quantization(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "quantize_per_tensor dequantize_per_tensor quantize_per_tensor dequantize_per_tensor dequantize_per_tensor");
}

TEST(MergeDuplicates, EqualOpsOnceQuantizationTwice) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value *a = t.op("aten.relu.default", {x}), *b = t.op("aten.relu.default", {x});
  Value* sum = t.op("aten.add.Tensor", {a, b});
  t.returns({t.op("aten.mul.Tensor", {quantize(t, sum, 0.5), quantize(t, sum, 0.5)})});
  merge_duplicates(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "relu add quantize_per_tensor quantize_per_tensor mul");
}

TEST(RestoreLinear, TransposedProductsAreLinearLayers) {
  TestProgram t;
  Value *w = t.parameter("w", {5, 3}), *bias = t.parameter("b", {5});
  Value* x = t.input("x", {2, 3});
  Value* transposed = t.op("aten.permute.default", {w, Ints{1, 0}});
  Value* y = t.op("aten.addmm.default", {bias, x, transposed});
  t.returns({y, t.op("aten.mm.default", {x, t.op("aten.t.default", {w})})});
  restore_linear(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "linear linear");
}

TEST(MakeContiguous, InputsOfAnotherOrderAreCopiedOnce) {
  TestProgram t;
  Value* x = t.input("x", {1, 3, 4, 5});
  x->meta().strides = {60, 1, 15, 3};
  Value* y = t.op("aten.relu.default", {x});
  y->meta().strides = x->meta().strides;
  t.returns({y});
  make_contiguous(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "_to_dim_order_copy relu");
  EXPECT_EQ(x->meta().dim_order(), (std::vector<uint8_t>{0, 2, 3, 1}));
  EXPECT_EQ(t.program.graph().node_list()[1]->output()->meta().dim_order(), (std::vector<uint8_t>{0, 1, 2, 3}));
}

TEST(FoldConstants, SmallResultsAndReplacedOriginals) {
  TestProgram t;
  Value* x = t.input("x", {3, 2});
  Value* w = t.program.add_parameter("w", Tensor::of<float>({1, 2, 3, 4, 5, 6}, {2, 3}));
  Value* turned = t.op("aten.permute.default", {w, Ints{1, 0}});
  t.returns({t.op("aten.add.Tensor", {x, turned})});
  fold_constants(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "add");
  EXPECT_EQ(t.program.state.find("w"), nullptr);
  const Node& add = *t.program.graph().node_list()[0];
  const Tensor* folded = t.program.constant(add.tensor("other"));
  ASSERT_NE(folded, nullptr);
  EXPECT_TRUE(bit_equal(*folded, Tensor::of<float>({1, 4, 2, 5, 3, 6}, {3, 2})));
}

TEST(FoldConstants, NothingGrowsAndQuantizedWeightsStay) {
  TestProgram t;
  Value* x = t.input("x", {1000, 1000});
  Value* small = t.parameter("small", {1, 1000});
  Value* wide = t.op("aten.repeat.default", {small, Ints{1000, 1}});  // 4 MB from 4 KB
  Value* q = t.program.add_buffer("q", Tensor::zeros(DType::int8, {1000}));
  Value* weight = dequantize(t, q, 0.5);
  t.returns({t.op("aten.add.Tensor", {t.op("aten.add.Tensor", {x, wide}), weight})});
  fold_constants(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "repeat dequantize_per_tensor add add");
}

TEST(FoldConstants, MutatedBuffersAreNoConstants) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* b = t.buffer("b", {2});
  Value* fresh = t.op("aten.neg.default", {b});
  t.returns({fresh, t.op("aten.add.Tensor", {x, fresh})});
  t.program.output_specs[0] = {OutputSpec::Kind::buffer_mutation, "b"};
  fold_constants(t.program);
  EXPECT_EQ(t.ops(), "neg add");
}

TEST(FoldConstants, QuantizedConstantsOnTheirWayToConstantsOnly) {
  TestProgram t;
  Value *table = t.parameter("t", {3, 4}), *weight = t.parameter("w", {4, 4}), *x = t.input("x", {3, 4});
  Value* bias = t.op("aten.mm.default", {dequantize(t, quantize(t, table, 0.5), 0.5), dequantize(t, quantize(t, weight, 0.5), 0.5)});
  Value* product = t.op("aten.mm.default", {x, dequantize(t, quantize(t, weight, 0.25), 0.25)});
  t.returns({t.op("aten.add.Tensor", {product, bias})});
  fold_constants(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "quantize_per_tensor dequantize_per_tensor mm add");
}

TEST(FoldConstants, WhatGrowsTooMuchStays) {
  TestProgram t;
  Value *row = t.parameter("r", {1, 1024}), *x = t.input("x", {512, 1024});
  t.returns({t.op("aten.add.Tensor", {x, t.op("aten.expand.default", {t.op("aten.neg.default", {row}), Ints{512, 1024}})})});
  fold_constants(t.program);
  EXPECT_EQ(t.ops(), "expand add");
}

TEST(InlineSubgraphs, NoGradRegionsAreInlined) {
  TestProgram t;
  Value* x = t.input("x", {2});
  auto body = std::make_shared<Subgraph>();
  body->name = "submod";
  body->graph = std::make_unique<Graph>();
  const TensorMeta meta = TensorMeta::contiguous(DType::float32, {2});
  Value* inner = body->graph->add_input(0, {meta, "x"});
  Node& relu = body->graph->insert_before(nullptr, Op::get("aten.relu.default"), {{"self", inner}}, {{meta}});
  body->graph->set_outputs({relu.output()});
  Node& wrapper = t.raw("higher_order.wrap_with_set_grad_enabled", {{"", false}, {"", body}, {"", x}}, {meta});
  t.returns({t.op("aten.neg.default", {wrapper.output()})});
  inline_subgraphs(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "relu neg");
}

TEST(InlineSubgraphs, LoopsAreRefused) {
  TestProgram t;
  Value* x = t.input("x", {2});
  t.raw("higher_order.while_loop", {{"", x}}, {TensorMeta::contiguous(DType::float32, {2})});
  t.returns({x});
  EXPECT_NE(test::refusal_of(ErrorKind::unsupported, [&] { inline_subgraphs(t.program); }).find("control flow"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
