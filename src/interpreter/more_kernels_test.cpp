// Indexing, sorting, resampling, attention, quantization, sub-graphs and the registry's kernels, with values in place.
#include "interpreter/run_op_for_tests.h"

namespace intaglio {
namespace {

using namespace test;
using Values = std::vector<Value*>;
using Arguments = std::vector<NamedArgument>;
using Ints = std::vector<int64_t>;

TEST(Indexing, ReadsAndWritesPlaces) {
  const Tensor x = Tensor::of<float>({0, 1, 2, 3, 4, 5}, {3, 2}), i = Tensor::of<int64_t>({2, -3}, {2});
  const auto rows = [](const Values& v) { return Arguments{{"self", v[0]}, {"indices", Values{v[1]}}}; };
  expect_values(run_op("aten.index.Tensor", {x, i}, rows)[0], {4, 5, 0, 1});
  const auto columns = [](const Values& v) { return Arguments{{"self", v[0]}, {"indices", Values{nullptr, v[1]}}}; };
  expect_values(run_op("aten.index.Tensor", {x, Tensor::of<int64_t>({1}, {1})}, columns)[0], {1, 3, 5});
  expect_values(run_op("aten.index.Tensor", {x, Tensor::of<bool>({true, false, true}, {3})}, rows)[0], {0, 1, 4, 5});
  const auto put = [](const Values& v) {
    return Arguments{{"self", v[0]}, {"indices", Values{v[1]}}, {"values", v[2]}, {"accumulate", true}};
  };
  const Tensor twice = Tensor::of<int64_t>({0, 0}, {2}), ten = Tensor::scalar(10.0f);
  expect_values(run_op("aten.index_put.default", {x, twice, ten}, put)[0], {20, 21, 2, 3, 4, 5});
  const auto embedding = [](const Values& v) { return Arguments{{"weight", v[0]}, {"indices", v[1]}}; };
  expect_values(run_op("aten.embedding.default", {x, Tensor::of<int64_t>({1, 1}, {2})}, embedding)[0], {2, 3, 2, 3});
  EXPECT_NE(message_of([&] {
              run_op("aten.embedding.default", {x, Tensor::of<int64_t>({3}, {1})}, embedding);
            }).find("index 3 of a dimension of size 3"),
            std::string::npos);
  EXPECT_NE(message_of([&] { run_op("aten.embedding.default", {x, Tensor::of<int64_t>({-1}, {1})}, embedding); }).find("index -1"),
            std::string::npos);
}

TEST(Scan, SortsAndSums) {
  const Tensor x = Tensor::of<float>({3, 1, 2}, {3});
  expect_values(run_unary("aten.cumsum.default", x, {{"dim", 0}}), {3, 4, 6});
  const auto top = run_op("aten.topk.default", {x}, [](const Values& v) { return Arguments{{"self", v[0]}, {"k", 2}}; }, 2);
  expect_values(top[0], {3, 2});
  expect_values(top[1], {0, 2});
  const auto sorted = run_op("aten.sort.default", {x}, [](const Values& v) { return Arguments{{"self", v[0]}}; }, 2);
  expect_values(sorted[0], {1, 2, 3});
  expect_values(sorted[1], {1, 2, 0});
}

TEST(Resampling, NearestAndBilinear) {
  const Tensor x = Tensor::of<float>({1, 2, 3, 4}, {1, 1, 2, 2});
  expect_values(run_unary("aten.upsample_nearest2d.vec", x, {{"output_size", Ints{4, 2}}}, "input"), {1, 2, 1, 2, 3, 4, 3, 4});
  expect_values(run_unary("aten.upsample_bilinear2d.vec", x, {{"output_size", Ints{2, 3}}, {"align_corners", true}}, "input"),
                {1, 1.5, 2, 3, 3.5, 4});
}

TEST(Attention, MaskedRowsAreZero) {
  const Tensor q = Tensor::of<float>({1, 0, 0, 1}, {1, 1, 2, 2}), v = Tensor::of<float>({1, 2, 3, 4}, {1, 1, 2, 2});
  const auto arguments = [](const Values& x) {
    return Arguments{{"query", x[0]}, {"key", x[0]}, {"value", x[1]}, {"attn_mask", x[2]}, {"scale", 1.0}};
  };
  const Tensor mask = Tensor::of<bool>({true, false, false, false}, {2, 2});
  expect_values(run_op("aten.scaled_dot_product_attention.default", {q, v, mask}, arguments)[0], {1, 2, 0, 0});
  const auto causal = [](const Values& x) {
    return Arguments{{"query", x[0]}, {"key", x[0]}, {"value", x[1]}, {"is_causal", true}, {"scale", 0.0}};
  };
  expect_values(run_op("aten.scaled_dot_product_attention.default", {q, v}, causal)[0], {1, 2, 2, 3});
}

TEST(Einsum, Products) {
  const Tensor a = Tensor::of<float>({1, 2, 3, 4}, {2, 2}), b = Tensor::of<float>({1, 1}, {2});
  const auto equation = [](const char* text) { return [text](const Values& v) { return Arguments{{"equation", text}, {"tensors", v}}; }; };
  expect_values(run_op("aten.einsum.default", {a, b}, equation("ij,j->i"))[0], {3, 7});
  expect_values(run_op("aten.einsum.default", {a}, equation("ii->i"))[0], {1, 4});
  expect_values(run_op("aten.einsum.default", {a}, equation("ij->j"))[0], {4, 6});
  // Dots stand for what has no letter; a dimension of size 1 there is everybody's.
  const Tensor row = Tensor::of<float>({10, 100}, {1, 2});
  expect_values(run_op("aten.einsum.default", {a, row}, equation("...i,...i"))[0], {210, 430});
  expect_values(run_op("aten.einsum.default", {a, b}, equation("i...,i->...i"))[0], {1, 3, 2, 4});
  EXPECT_NE(message_of([&] { run_op("aten.einsum.default", {a, b}, equation("ijk...,i->i")); }).find("does not fit"), std::string::npos);
}

TEST(Quantized, RoundsHalfToEvenAndClamps) {
  const Tensor x = Tensor::of<float>({-1000, -1.25f, -0.75f, 0, 0.25f, 0.75f, 1000}, {7});
  const Tensor q = run_unary("quantized_decomposed.quantize_per_tensor.default", x,
                             {{"scale", 0.5}, {"zero_point", 3}, {"quant_min", -128}, {"quant_max", 127}, {"dtype", DType::int8}}, "input");
  EXPECT_EQ(q.dtype(), DType::int8);
  expect_values(q, {-128, 1, 1, 3, 3, 5, 127});
  expect_values(run_unary("quantized_decomposed.dequantize_per_tensor.default", q,
                          {{"scale", 0.5}, {"zero_point", 3}, {"quant_min", -128}, {"quant_max", 127}, {"dtype", DType::int8}}, "input"),
                {-65.5, -1, -1, 0, 0, 1, 62});
  const auto channels = [](const Values& v) {
    return Arguments{{"input", v[0]},     {"scales", v[1]},   {"zero_points", v[2]}, {"axis", 0},
                     {"quant_min", -127}, {"quant_max", 127}, {"dtype", DType::int8}};
  };
  const Tensor w = Tensor::of<int8_t>({10, -10, 10, -10}, {2, 2}), scales = Tensor::of<float>({1, 0.5f}, {2}),
               zero = Tensor::of<int64_t>({0, 0}, {2});
  expect_values(run_op("quantized_decomposed.dequantize_per_channel.default", {w, scales, zero}, channels)[0], {10, -10, 5, -5});
  const auto qparams = run_op(
      "quantized_decomposed.choose_qparams.tensor", {Tensor::of<float>({0, 255}, {2})},
      [](const Values& v) {
        return Arguments{{"input", v[0]}, {"quant_min", -128}, {"quant_max", 127}, {"eps", 1e-6}, {"dtype", DType::int8}};
      },
      2);
  EXPECT_EQ(qparams[0].dtype(), DType::float64);
  expect_values(qparams[0], {1});
  expect_values(qparams[1], {-128});
}

TEST(Control, Condition) {
  ProgramBuilder b;
  const Meta meta = {2};
  Value* x = b.input("x", meta);
  const auto branch = [&](const char* op) {
    auto region = std::make_shared<Subgraph>();
    region->graph = std::make_unique<Graph>();
    Value* operand = region->graph->add_input(0, {meta, "a"});
    region->graph->set_outputs({region->graph->insert_before(nullptr, Op::get(op), {{"self", operand}}, {{meta}}).output()});
    return region;
  };
  Value* sum = b.call("aten.sum.default", {{"self", x}}, {});
  Value* positive = b.call("aten.gt.Scalar", {{"self", sum}, {"other", 0}}, {{}, DType::boolean});
  b.output(b.call("higher_order.cond",
                  {{"", positive}, {"", branch("aten.neg.default")}, {"", branch("aten.abs.default")}, {"", Values{x}}}, meta));
  Interpreter interpreter(b.program);
  expect_values(interpreter.run({Tensor::of<float>({1, 2}, {2})})[0], {-1, -2});
  expect_values(interpreter.run({Tensor::of<float>({-1, -2}, {2})})[0], {1, 2});
}

// Ops without a kernel of our own run on the SDK's.
TEST(Registry, ServesWhatIsMissing) {
  ProgramBuilder b;
  Value* x = b.input({2, 2});
  const Node& node = b.raw("aten._cdist_forward.default", {{"x1", x}, {"x2", x}, {"p", 2.0}, {"compute_mode", Argument()}}, {{2, 2}});
  const auto result = evaluate_node(node, {Tensor::of<float>({0, 3, 4, 0}, {2, 2})});
  ASSERT_TRUE(result.has_value());
  expect_values((*result)[0], {0, 5, 5, 0}, 1e-6);
}

TEST(EvaluateNode, UnknownOpsGiveNothing) {
  ProgramBuilder b;
  const Node& node = b.raw("mylib.frobnicate.default", {{"self", b.input({})}}, {{}});
  EXPECT_FALSE(evaluate_node(node, {Tensor::scalar(1.0f)}).has_value());
}

}  // namespace
}  // namespace intaglio
