#include "decompose/decompose.h"

#include "decompose/programs_for_tests.h"

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
  test::expect_golden("decompose_convolution", t.program, "decompose");
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

TEST(Decompose, TransposedVolumesAreSpreadOut) {
  TestProgram t;
  Value* x = t.input("x", {1, 2, 3, 4, 4});
  t.returns({t.op("aten.conv_transpose3d.input", {x, t.parameter("w", {2, 4, 2, 3, 3}), {}, Ints{2, 1, 1}})});
  decompose(t.program);
  verify(t.program);
  // zeros between the planes and around them, then both taps
  EXPECT_EQ(t.ops(),
            "permute view constant_pad_nd view slice constant_pad_nd slice view slice view convolution slice view slice view convolution "
            "add view permute");
  EXPECT_EQ(sizes_of(t.program.user_outputs()[0]), "f32[1, 4, 6, 6, 6]");
}

TEST(Decompose, RunningResultsDoubleTheirReach) {
  TestProgram t;
  t.returns({t.op("aten.cumprod.default", {t.input("x", {2, 5}), 1})});
  decompose(t.program);
  verify(t.program);
  const std::string step = "slice constant_pad_nd mul";
  EXPECT_EQ(t.ops(), step + " " + step + " " + step);  // 1, 2 and 4 elements back
}

// Bags of one length are rows of a matrix; others need to know who is in which.
TEST(Decompose, BagsOfEqualLengthAreRows) {
  const auto ops = [](bool equal) {
    TestProgram t;
    Value* weight = t.parameter("w", {10, 4});
    Value* indices = t.input("indices", {6}, DType::int64);
    Value* offsets = equal ? t.op("aten.arange.start_step", {0, 6, 3}, {{"dtype", DType::int64}}) : t.input("offsets", {2}, DType::int64);
    const TensorMeta bag = TensorMeta::contiguous(DType::float32, {2, 4}), other = TensorMeta::contiguous(DType::int64, {2});
    Node& node = t.raw("aten.embedding_bag.padding_idx",
                       {{"weight", weight},
                        {"indices", indices},
                        {"offsets", offsets},
                        {"scale_grad_by_freq", false},
                        {"mode", 1},
                        {"sparse", false},
                        {"per_sample_weights", {}},
                        {"include_last_offset", false},
                        {"padding_idx", {}}},
                       {bag, other, other, other});
    t.returns({node.output(0)});
    decompose(t.program);
    verify(t.program);
    return t.ops();
  };
  EXPECT_EQ(ops(true), "embedding view mean");
  EXPECT_EQ(ops(false), "embedding slice cat view ge view lt logical_and _to_copy mm sum clamp div");
}

// The kernel takes scales in float64 only; constant weights are folded and keep what they have.
TEST(Decompose, ComputedWeightsAreQuantizedWithWideScales) {
  TestProgram t;
  Value *w = t.parameter("w", {4, 3}), *scales = t.buffer("scales", {4}), *zeros = t.parameter("zeros", {4}, DType::int64);
  const auto quantized = [&](Value* x) {
    return t.op("quantized_decomposed.quantize_per_channel.default", {x, scales, zeros, 0, -127, 127, DType::int8});
  };
  t.returns({quantized(w), quantized(t.op("aten.neg.default", {t.input("x", {4, 3})}))});
  decompose(t.program);
  verify(t.program);
  EXPECT_EQ(t.ops(), "quantize_per_channel neg _to_copy quantize_per_channel");
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
  test::expect_golden("decompose_attention", t.program, "decompose");
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
  Value* w = t.parameter("w", {8, 8});
  Value* y = t.op("aten.matmul.default", {x, w});
  t.returns({t.op("aten.flatten.using_ints", {y, 1})});
  decompose(t.program);
  verify(t.program);
  test::expect_golden("decompose_symbolic_batch", t.program, "decompose");
}

TEST(Decompose, TrainingModeIsRefused) {
  TestProgram t;
  Value* x = t.input("x", {2, 3});
  t.returns({t.op("aten.dropout.default", {x, 0.5, true})});
  EXPECT_NE(test::refusal_of(ErrorKind::unsupported, [&] { decompose(t.program); }).find("eval()"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
