#include "pt2e/passes.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "pt2e/networks_for_tests.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

const Sizes sizes = {2, 4, 4};

struct ScoreNet : ProgramBuilder {
  Value* x = input("x", sizes);
  Value* y = input("y", sizes);

  Value* unary(const std::string& op, Value* value, const std::string& name) { return call(op, {{"self", value}}, sizes, name); }
  Value* sum(Value* a, Value* b, const std::string& name) { return call("aten.add.Tensor", {{"self", a}, {"other", b}}, sizes, name); }
  Value* softmax(Value* value) { return call("aten.softmax.int", {{"self", value}, {"dim", -1}}, sizes, "softmax"); }
  Value* bmm(Value* a, Value* b, const std::string& name) { return call("aten.bmm.default", {{"self", a}, {"mat2", b}}, sizes, name); }
};

std::set<std::string> operands(const ExportedProgram& program) {
  std::set<std::string> found;
  for (const Value* value : softmax_operands(program.graph())) found.insert(value->name());
  return found;
}

using Names = std::set<std::string>;

TEST(SoftmaxOperands, ReachThroughArithmeticAndMoves) {
  ScoreNet b;
  Value* sum = b.sum(b.bmm(b.x, b.x, "scores"), b.y, "sum");
  Value* scaled = b.call("aten.mul.Tensor", {{"self", sum}, {"other", 0.5}}, sizes, "scaled");
  Value* viewed = b.call("aten.view.default", {{"self", scaled}, {"size", std::vector<int64_t>(sizes)}}, sizes, "viewed");
  Value* clamped = b.call("aten.clamp_.default", {{"self", viewed}, {"min", -1.0}}, sizes, "clamped");
  EXPECT_EQ(operands(b.finish({b.softmax(clamped)})), (Names{"y", "scores", "sum", "scaled", "viewed", "clamped"}));
}

TEST(SoftmaxOperands, LogarithmsAndRootsNeedRatiosAndAnglesTurns) {
  for (const char* op : {"aten.log.default", "aten.log2.default", "aten.log10.default", "aten.rsqrt.default", "aten.sqrt.default",
                         "aten.sin.default", "aten.cos.default", "aten.tan.default"}) {
    ScoreNet b;
    Value* sum = b.sum(b.x, b.y, "sum");
    Value* logs = b.unary(op, b.unary("aten.relu.default", sum, "clamped"), "logs");
    EXPECT_EQ(operands(b.finish({b.bmm(logs, b.y, "after")})), (Names{"x", "sum", "clamped"})) << op;
  }
}

TEST(SoftmaxOperands, IntegersMadeOfValuesAreExact) {
  ScoreNet b;
  Value* scaled = b.call("aten.mul.Tensor", {{"self", b.sum(b.x, b.y, "sum")}, {"other", 3.0}}, sizes, "scaled");
  Value* places = b.call("aten.to.dtype", {{"self", b.unary("aten.ceil.default", scaled, "ceil")}, {"dtype", DType::int64}},
                         {sizes, DType::int64}, "places");
  Value* half = b.call("aten.to.dtype", {{"self", b.y}, {"dtype", DType::float16}}, {sizes, DType::float16}, "half");
  EXPECT_EQ(operands(b.finish({places, half})), (Names{"x", "y", "sum", "scaled", "ceil"}));
}

TEST(SoftmaxOperands, OneOtherReaderIsEnough) {
  ScoreNet b;
  Value* sum = b.sum(b.x, b.y, "sum");
  Value* mixed = b.bmm(b.softmax(sum), sum, "mixed");
  EXPECT_EQ(operands(b.finish({mixed})), Names());
}

TEST(SoftmaxOperands, BeingReturnedOrComparedIsNoReader) {
  ScoreNet b;
  Value* sum = b.sum(b.x, b.y, "sum");
  Value* below = b.call("aten.eq.Scalar", {{"self", sum}, {"other", 0.0}}, {sizes, DType::boolean}, "below");
  EXPECT_EQ(operands(b.finish({b.softmax(sum), sum, below})), (Names{"x", "y", "sum"}));
}

TEST(SoftmaxOperands, WithoutASoftmaxThereAreNone) {
  ScoreNet b;
  EXPECT_EQ(operands(b.finish({b.sum(b.x, b.y, "sum")})), Names());
}

TEST(SoftmaxOperands, AttentionTakesTheMaskInOneArgument) {
  ScoreNet b;
  Value* mask = b.sum(b.y, b.y, "mask");
  Value* query = b.sum(b.x, b.x, "query");
  Value* mixed = b.call("aten.scaled_dot_product_attention.default",
                        {{"query", query}, {"key", query}, {"value", query}, {"attn_mask", mask}}, sizes, "mixed");
  EXPECT_EQ(operands(b.finish({mixed})), (Names{"y", "mask"}));
}

// A mask of numbers from which one of booleans is made.
TEST(SoftmaxOperands, ComparedMasksAreMasks) {
  ScoreNet b;
  const TensorMeta booleans = TensorMeta::contiguous(DType::boolean, {2, 4, 4});
  Value* both = b.sum(b.y, b.y, "both");
  Value* visible = b.call("aten.eq.Scalar", {{"self", both}, {"other", 0}}, booleans, "visible");
  Value* hidden = b.call("aten.logical_not.default", {{"self", visible}}, booleans, "hidden");
  Value* scores = b.call("aten.masked_fill.Scalar", {{"self", b.x}, {"mask", hidden}, {"value", -1e9}}, sizes, "scores");
  EXPECT_EQ(operands(b.finish({b.softmax(scores)})), (Names{"x", "y", "both", "scores"}));
}

TEST(SoftmaxOperands, ProductsAddTheirMask) {
  ScoreNet b;
  Value* mask = b.sum(b.y, b.y, "mask");
  Value* scores = b.call("aten.baddbmm.default", {{"self", mask}, {"batch1", b.x}, {"batch2", b.x}}, sizes, "scores");
  EXPECT_EQ(operands(b.finish({b.softmax(scores)})), (Names{"y", "mask", "scores"}));
}

TEST(SoftmaxOperands, EverySoftmaxCounts) {
  for (const char* op : {"aten._softmax.default", "aten._safe_softmax.default", "aten.log_softmax.int", "aten._log_softmax.default",
                         "aten.exp.default", "aten.logsumexp.default"}) {
    ScoreNet b;
    EXPECT_EQ(operands(b.finish({b.unary(op, b.sum(b.x, b.y, "sum"), "softmax")})), (Names{"x", "y", "sum"})) << op;
  }
}

}  // namespace
}  // namespace intaglio::pt2e
