#include "ir/work.h"

#include <gtest/gtest.h>

#include <limits>

#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

using test::ProgramBuilder;
using test::ramp;

struct Program {
  ProgramBuilder b;
  Work work(const std::string& op, std::vector<NamedArgument> arguments, Sizes result) {
    return work_of(b.program, *b.call(op, std::move(arguments), std::move(result), "node")->producer());
  }
};

void expect(const Work& work, uint64_t amount, bool is_macs) {
  EXPECT_EQ(work.amount, amount);
  EXPECT_EQ(work.is_macs, is_macs);
}

TEST(Work, CountsMultiplyAccumulates) {
  Program p;
  Value* image = p.b.input("image", {2, 3, 8, 8});
  Value* weight = p.b.parameter("w", ramp({4, 3, 3, 3}, 0, 1));
  expect(p.work("aten.conv2d.default", {{"input", image}, {"weight", weight}}, {2, 4, 6, 6}), 2 * 4 * 6 * 6 * 27, true);
  Value* depthwise = p.b.parameter("d", ramp({3, 1, 3, 3}, 0, 1));
  expect(p.work("aten.conv2d.default", {{"input", image}, {"weight", depthwise}, {"groups", 3}}, {2, 3, 6, 6}), 2 * 3 * 6 * 6 * 9, true);
  // A transposed convolution multiplies each input by the kernel of every output channel.
  Value* transposed = p.b.parameter("t", ramp({3, 5, 2, 2}, 0, 1));
  expect(p.work("aten.conv_transpose2d.input", {{"input", image}, {"weight", transposed}}, {2, 5, 9, 9}), 2 * 3 * 8 * 8 * 20, true);
  Value* rows = p.b.input("rows", {5, 7});
  Value* linear = p.b.parameter("l", ramp({6, 7}, 0, 1));
  expect(p.work("aten.linear.default", {{"input", rows}, {"weight", linear}}, {5, 6}), 5 * 6 * 7, true);
  Value* heads = p.b.input("heads", {1, 2, 4, 8});
  expect(p.work("aten.scaled_dot_product_attention.default", {{"query", heads}, {"key", heads}, {"value", heads}}, {1, 2, 4, 8}),
         2 * (2 * 4 * 4 * 8), true);
}

TEST(Work, CountsElementsOfEverythingElse) {
  Program p;
  Value* x = p.b.input("x", {2, 3});
  Value* y = p.b.input("y", {3});
  expect(p.work("aten.add.Tensor", {{"self", x}, {"other", y}}, {2, 3}), 6 + 3 + 6, false);
  // One tensor read twice is read once.
  expect(p.work("aten.mul.Tensor", {{"self", x}, {"other", x}}, {2, 3}), 6 + 6, false);
}

TEST(Work, HugeSizesSaturate) {
  EXPECT_EQ(element_count({1LL << 40, 1LL << 40}), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(element_count({1LL << 40, 0, 1LL << 40}), 0u);
  EXPECT_EQ(saturating_add(std::numeric_limits<uint64_t>::max() - 1, 5), std::numeric_limits<uint64_t>::max());
}

TEST(Work, SymbolicSizesCountWithTheirBound) {
  ProgramBuilder b;
  const SymInt batch(parse_sym_expr("s0"), "s0", 3);
  Value* x = b.input("x", {1, 4});
  x->meta() = TensorMeta::contiguous(DType::float32, {batch, 4});
  Value* y = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "y");
  y->meta() = x->meta();
  EXPECT_EQ(work_of(b.program, *y->producer()).amount, 2u * 3 * 4);  // no bound: the exported size
  b.program.range_constraints["s0"] = {1, 10};
  EXPECT_EQ(work_of(b.program, *y->producer()).amount, 2u * 10 * 4);
}

}  // namespace
}  // namespace intaglio::pt2e
