// The parts that backends share, on small edge programs. What a backend makes of them is in its own tests.
#include <gtest/gtest.h>

#include "backends/common/candidates.h"
#include "backends/common/constraints.h"
#include "backends/common/gemm_operands.h"
#include "backends/common/own_readers.h"
#include "testing/program_builder.h"
#include "testing/text_cases.h"

namespace intaglio::common {
namespace {

const bool registered = test::register_text_cases(
    "OwnReaders", "src/backends/common/own_readers.test",
    test::program_passes({
        {"give_each_reader_its_own_source", give_each_reader_its_own_source},
        {"give_each_reader_its_own_dynamic_chain", give_each_reader_its_own_dynamic_chain},
        {"give_each_dequantize_its_own_quantize",
         [](ExportedProgram& program) { give_each_dequantize_its_own_quantize(program, [](const Node&) { return true; }); }},
    }));

struct Net : test::ProgramBuilder {
  Value* quantize(Value* x, double scale = 0.5) { return ProgramBuilder::quantize(x, scale, 0); }
  Value* dequantize(Value* q, double scale = 0.5) { return ProgramBuilder::dequantize(q, scale, 0); }
  // [2, 3] int8 with a scale for each row.
  Value* channel_weight() {
    Value* q = buffer("q", Tensor::of<int8_t>({1, 2, 3, 4, 5, 6}, {2, 3}));
    Value* scale = buffer("s", Tensor::of<float>({0.5f, 2}, {2}));
    Value* zero = buffer("z", Tensor::zeros(DType::int64, {2}));
    return (*this)("quantized_decomposed.dequantize_per_channel.default", q, scale, zero, 0, -127, 127, DType::int8);
  }
  Value* permute(Value* x) { return (*this)("aten.permute_copy.default", x, std::vector<int64_t>{1, 0}); }
};

TEST(ProgramFacts, ConstantsAndWhatIsMadeOfThem) {
  Net t;
  Value* x = t.input("x", {2, 3});
  Value* weight = t.channel_weight();
  Value* permuted = t.permute(weight);
  Value* sum = t("aten.add.Tensor", x, weight);
  t.returns({sum, permuted});
  const ProgramFacts facts(t.program);
  EXPECT_FALSE(facts.is_constant(x));
  EXPECT_FALSE(facts.is_constant(sum));
  EXPECT_TRUE(facts.makes_constant(*permuted->producer()));
  EXPECT_EQ(facts.params_of(*weight->producer())->scale, (std::vector<double>{0.5, 2}));
  EXPECT_EQ(facts.params_of(*sum->producer()), nullptr);
  const Tensor value = facts.constant_value(permuted)->contiguous();
  EXPECT_EQ(std::vector<float>(value.data<float>(), value.data<float>() + 6), (std::vector<float>{0.5f, 8, 1, 10, 1.5f, 12}));
  EXPECT_FALSE(facts.constant_value(sum).has_value());
}

TEST(GemmWeight, PermutationsMoveTheAxisOfTheScales) {
  Net t;
  Value* x = t.input("x", {4, 3});
  Value* product = t("aten.mm.default", x, t.permute(t.channel_weight()));
  t.returns({product});
  const ProgramFacts facts(t.program);
  const auto operands = gemm_operands(*product->producer());
  EXPECT_EQ(operands->input, x);
  EXPECT_EQ(operands->channel_axis, 1);
  const auto weight = gemm_weight(facts, operands->weight);
  EXPECT_EQ(weight->data.sizes(), (Sizes{3, 2}));
  EXPECT_EQ(weight->data.dtype(), DType::int8);
  EXPECT_EQ(weight->params->axis(), 1);
  EXPECT_FALSE(gemm_weight(facts, x).has_value());
  EXPECT_FALSE(gemm_operands(*operands->weight->producer()).has_value());
}

TEST(Constraints, TheFirstBrokenRowIsNamed) {
  struct Context {
    const ProgramFacts& facts;
    const Node& node;
  };
  constexpr Constraint<Context> rows[] = {
      {"one tensor result", has_tensor_result},
      {"float32", has_float32_result},
      {"at most 2 dimensions", [](const Context& c) { return every_tensor(c.node, [](const Value& v) { return v.meta().rank() <= 2; }); }}};
  Net t;
  Value* flat = t("aten.neg.default", t.input("x", {2, 3}));
  Value* deep = t("aten.neg.default", t.input("y", {2, 3, 4}));
  t.returns({flat, deep});
  const ProgramFacts facts(t.program);
  const auto broken = [&](const Value* value) {
    return first_broken(std::span<const Constraint<Context>>(rows), Context{facts, *value->producer()});
  };
  EXPECT_EQ(broken(flat), nullptr);
  EXPECT_EQ(broken(deep)->text, "at most 2 dimensions");
}

// An op, its dequantized operand and its weight go together; a weight that is read outside too stays outside.
TEST(Candidates, OpsTakeWhatTheyAloneRead) {
  Net t;
  Value* x = t.dequantize(t.quantize(t.input("x", {3, 3})));
  Value* weight = t.permute(t.parameter("w", {3, 3}));
  Value* shared = t.permute(t.parameter("v", {3, 3}));
  Value* first = t("aten.mm.default", x, weight);
  Value* second = t("aten.mm.default", t("aten.sin.default", first), shared);
  Value* outside = t("aten.sin.default", shared);
  t.returns({second, outside});
  const ProgramFacts facts(t.program);
  Candidates candidates = find_candidates(t.program, [](const Node& node) -> std::optional<std::string> {
    if (node.is("aten.sin.default") || qdq::is_tensor_or_channel_quantize(node)) return "no";
    return std::nullopt;
  });
  EXPECT_EQ(candidates.refusals.size(), 3u);
  EXPECT_EQ(candidates.refusals.front().rule, "no");
  const std::vector<Partition> partitions = partition_candidates(facts, candidates);
  ASSERT_EQ(partitions.size(), 2u);
  EXPECT_EQ(partitions[0].nodes, (std::vector<Node*>{x->producer(), weight->producer(), first->producer()}));
  EXPECT_EQ(partitions[1].nodes, (std::vector<Node*>{second->producer()}));
  // Tied across the op between them they cannot be one delegate: both are given up.
  candidates.ties = {{first->producer(), second->producer()}};
  EXPECT_TRUE(partition_candidates(facts, candidates).empty());
}

}  // namespace
}  // namespace intaglio::common
