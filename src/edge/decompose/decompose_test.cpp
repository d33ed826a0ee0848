#include "edge/decompose/decompose.h"

#include "edge/programs_for_tests.h"

namespace intaglio {
namespace {

using test::TestProgram;
using Ints = std::vector<int64_t>;

SymInt symbol(const char* name, int64_t hint) { return SymInt(parse_sym_expr(name), name, hint); }

std::string sizes_of(const Argument& output) { return to_string((*output.get_if<Value*>())->meta()); }

TEST(Decompose, ConvolutionsHaveFullLists) {
  TestProgram t;
  Value *w = t.parameter("w", {4, 3, 3, 3}), *even = t.parameter("even", {4, 4, 2, 2});
  Value* x = t.input("x", {1, 3, 8, 8});
  Value* y = t.op("aten.conv2d.default", {x, w, {}, Ints{2, 2}, Ints{1, 1}});
  t.returns({t.op("aten.conv2d.padding", {y, even}, {{"padding", "same"}})});
  decompose(t.program);
  verify(t.program);
  test::expect_golden("decompose_convolution", t.program);
}

TEST(Decompose, KeptOpsStay) {
  TestProgram t;
  Value* x = t.input("x", {1, 3, 8, 8});
  t.returns({t.op("aten.hardswish.default", {t.op("aten.max_pool2d.default", {x, Ints{2, 2}})})});
  decompose(t.program, [](const Node& node) { return node.is("aten.hardswish.default"); });
  verify(t.program);
  EXPECT_EQ(t.ops(), "max_pool2d_with_indices hardswish");
  decompose(t.program);
  EXPECT_EQ(t.ops(), "max_pool2d_with_indices add clamp mul div");
}

TEST(Decompose, VolumesArePooledByPlanes) {
  TestProgram t;
  Value* x = t.input("x", {2, 3, 4, 6, 8});
  Value* y = t.op("aten.max_pool3d.default", {x, Ints{2, 3, 2}});
  t.returns({t.op("aten.adaptive_avg_pool3d.default", {y, Ints{1, 2, 2}})});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "view max_pool2d_with_indices view max_pool2d_with_indices view avg_pool2d view avg_pool2d view");
}

TEST(Decompose, UnevenMaximaRepeatEntries) {
  TestProgram t;
  t.returns({t.op("aten.adaptive_max_pool2d.default", {t.input("x", {1, 2, 5, 6}), Ints{3, 3}})});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "index_select max_pool2d_with_indices");  // the columns divide
}

TEST(Decompose, VolumesAreConvolvedByPlanes) {
  TestProgram t;
  Value* x = t.input("x", {1, 2, 5, 6, 7});
  t.returns({t.op("aten.conv3d.default", {x, t.parameter("w", {4, 2, 2, 3, 3})})});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "permute slice view slice view convolution slice view slice view convolution add view permute");
}

TEST(Decompose, ViewsShrink) {
  TestProgram t;
  Value* x = t.input("x", {2, 1, 3, 4});
  Value* y = t.op("aten.relu.default", {x});
  y = t.op("aten.squeeze.dim", {y, 1});
  y = t.op("aten.flatten.using_ints", {y, 1});
  y = t.op("aten.view.default", {y, Ints{2, 3, 4}});
  y = t.op("aten.transpose.int", {t.op("aten.transpose.int", {y, 1, 2}), 1, 2});  // back to where it was
  y = t.op("aten.contiguous.default", {t.op("aten.expand.default", {y, Ints{2, 3, 4}})});
  t.returns({t.op("aten.neg.default", {y})});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "relu view neg");
}

TEST(Decompose, AttentionHasNoGuardWithoutAMask) {
  TestProgram t;
  Value *q = t.input("q", {1, 2, 5, 8}), *k = t.input("k", {1, 2, 5, 8}), *v = t.input("v", {1, 2, 5, 8});
  t.returns({t.op("aten.scaled_dot_product_attention.default", {q, k, v})});
  decompose(t.program);
  verify(t.program);
  test::expect_golden("decompose_attention", t.program);
  EXPECT_EQ(t.ops(), "mul permute view view bmm view _softmax view view bmm view");
}

TEST(Decompose, ReturnedInputsAreCopied) {
  TestProgram t;
  Value* x = t.input("x", {2});
  t.returns({t.op("aten.detach.default", {x}), t.op("aten.relu.default", {t.op("aten.clone.default", {x})})});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "clone relu");
}

TEST(Decompose, SplitsAndSelectsAreSlices) {
  TestProgram t;
  Value* x = t.input("x", {2, 6, 3});
  Node& parts = t.build.node("aten.chunk.default", {x, 3, 1});
  Node& rows = t.build.node("aten.unbind.int", {x});
  t.returns({parts.output(0), parts.output(2), rows.output(1), t.op("aten.select.int", {x, -1, -1})});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "slice slice slice view slice view");
  EXPECT_EQ(sizes_of(t.program.user_outputs()[1]), "f32[2, 2, 3]");
  EXPECT_EQ(sizes_of(t.program.user_outputs()[3]), "f32[2, 6]");
}

TEST(Decompose, SymbolicBatchesAreInferred) {
  TestProgram t;
  Value* x = t.input("x", {symbol("s0", 2), 4, 8});
  Value *w = t.parameter("w", {8, 8});
  Value* y = t.op("aten.matmul.default", {x, w});
  t.returns({t.op("aten.flatten.using_ints", {y, 1})});
  decompose(t.program);
  verify(t.program);
  test::expect_golden("decompose_symbolic_batch", t.program);
}

TEST(Decompose, TrainingModeIsRefused) {
  TestProgram t;
  Value* x = t.input("x", {2, 3});
  t.returns({t.op("aten.dropout.default", {x, 0.5, true})});
  EXPECT_NE(test::refusal_of(ErrorKind::unsupported, [&] { decompose(t.program); }).find("eval()"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
