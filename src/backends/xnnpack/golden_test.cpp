// Edge programs and the payloads made of them, as text: golden/NAME.txt holds the program, the graph after lowering and the
// decoded payload. INTAGLIO_UPDATE_GOLDEN=1 rewrites the files.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>

#include "backends/xnnpack/payload/payload_reader.h"
#include "backends/xnnpack/payload/payload_writer.h"
#include "backends/xnnpack/preprocess.h"
#include "backends/xnnpack/test_program.h"
#include "testing/source_dir.h"

namespace intaglio::xnnpack {
namespace {

using Results = std::vector<Value*>;
using Ints = std::vector<int64_t>;

struct Golden {
  const char* name;
  std::function<Results(TestProgram&)> build;
};
void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.name; }

Value* block(TestProgram& t, Value* x, const std::string& name, Sizes weight, int64_t stride, int64_t padding, int64_t groups) {
  Value* y = t.convolution(x, t.int8_weight(name, weight), t.weight(name + "_bias", {weight[0]}), stride, padding, groups);
  return t.qdq(t("aten.hardtanh.default", t.qdq(y, 0.02, -128), 0.0, 6.0), 0.02, -128);
}

// Weights and inputs are made in statements of their own: compilers differ in the order of a call's arguments.
const Golden goldens[] = {
    {"inverted_residual_int8",  // as MobileNetV2's, quantized: one transpose at each end, clamps in the convolutions
     [](TestProgram& t) {
       Value* x = t.qdq(t.input({1, 4, 8, 8}), 0.05, 3);
       Value* y = block(t, block(t, x, "expand", {8, 4, 1, 1}, 1, 0, 1), "depthwise", {8, 1, 3, 3}, 1, 1, 8);
       Value* p = t.qdq(t.convolution(y, t.int8_weight("project", {4, 8, 1, 1}), t.weight("project_bias", {4})), 0.04, 1);
       return Results{t.qdq(t("aten.add.Tensor", p, x), 0.06, 2)};
     }},
    {"head_int8",
     [](TestProgram& t) {
       Value* x = block(t, t.qdq(t.input({1, 4, 8, 8}), 0.05, 3), "conv", {8, 4, 1, 1}, 1, 0, 1);
       Value* pooled = t.qdq(t("aten.mean.dim", x, Ints{-1, -2}, true), 0.02, -128);
       Value* flat = t.qdq(t("aten.view_copy.default", pooled, Ints{1, 8}), 0.02, -128);
       return Results{t.qdq(t("aten.linear.default", flat, t.int8_weight("fc", {5, 8}), t.weight("fc_bias", {5})), 0.1, 0)};
     }},
    {"pad_other_parameters_int8",
     [](TestProgram& t) {
       Value* x = block(t, t.qdq(t.input({1, 4, 8, 8}), 0.05, 3), "first", {8, 4, 1, 1}, 1, 0, 1);
       Value* padded = t.qdq(t("aten.constant_pad_nd.default", x, Ints{0, 1, 0, 1}, 0.0), 0.021, -126);
       return Results{block(t, padded, "second", {8, 1, 3, 3}, 2, 0, 8)};
     }},
    {"squeeze_excite_fp32",  // per-channel factors stay beside the images in NHWC
     [](TestProgram& t) {
       Value *b = t.weight("b", {4}), *w = t.weight("w", {4, 3, 3, 3});
       Value* x = t.convolution(t.input({1, 3, 8, 8}), w, b);
       Value* mean = t("aten.mean.dim", x, Ints{2, 3}, true);
       Value* gate = t("aten.sigmoid.default", t.convolution(mean, t.weight("se", {4, 4, 1, 1}), nullptr));
       return Results{t("aten.mul.Tensor", t("aten.mul.Tensor", x, gate), t.weight("s", {4, 1, 1}))};
     }},
    {"channels_last_blocks_fp32",  // ConvNeXt's permute - linear - permute costs no transpose
     [](TestProgram& t) {
       Value* w = t.weight("w", {4, 3, 3, 3});
       Value* x = t.convolution(t.input({1, 3, 8, 8}), w, nullptr);
       Value* rows = t("aten.permute_copy.default", x, Ints{0, 2, 3, 1});
       Value* mixed = t("aten.gelu.default", t("aten.linear.default", rows, t.weight("fc", {4, 4})));
       return Results{t("aten.add.Tensor", x, t("aten.permute_copy.default", mixed, Ints{0, 3, 1, 2}))};
     }},
    {"attention_block_fp32",  // a norm, a product of values under a causal mask, a rotation of pairs: nothing stays outside
     [](TestProgram& t) {
       Value* x = t.input({1, 4, 8});
       Value* normal = t.node("aten.native_layer_norm.default", {x, Ints{8}, t.weight("g", {8}), t.weight("h", {8}), 1e-5}).output();
       Value* scores = t("aten.bmm.default", normal, t("aten.permute_copy.default", normal, Ints{0, 2, 1}));
       Tensor mask = Tensor::empty(DType::boolean, {4, 4});
       for (int64_t i = 0; i < 16; ++i) mask.mutable_data<bool>()[i] = i % 4 <= i / 4;
       Value* minus_infinity = t.constant("least", Tensor::scalar(-std::numeric_limits<float>::infinity()));
       Value* weights = t("aten._softmax.default", t("aten.where.self", t.constant("mask", mask), scores, minus_infinity), -1, false);
       Value* even = t("aten.slice_copy.Tensor", x, 2, 0, 8, 2);
       Value* mean = t("aten.expand_copy.default", t("aten.mean.dim", even, Ints{-1}, true), Ints{1, 4, 8});
       return Results{t("aten.add.Tensor", t("aten.bmm.default", weights, x), mean)};
     }},
    {"conv1d_stack_fp32",  // no reshape between 1-d convolutions
     [](TestProgram& t) {
       Value *b = t.weight("b", {4}), *w = t.weight("w", {4, 3, 3});
       Value* x = t("aten.relu.default", t.convolution(t.input({1, 3, 16}), w, b));
       return Results{t.convolution(t("aten.sigmoid.default", x), t.weight("v", {2, 4, 3}), nullptr)};
     }},
};

std::string text_of(const Golden& golden) {
  TestProgram t;
  t.returns(golden.build(t));
  std::string text = "# program\n" + to_string(t.program.graph());
  const PayloadGraph graph = lower_partition(t.program, Features{}, [&](std::string_view step, const PayloadGraph& now) {
    if (step == "lower") text += "\n# lowered\n" + to_string(now);
  });
  text += "\n# payload\n" + to_string(read_payload(write_payload(graph).bytes));
  return text;
}

class GoldenPayload : public testing::TestWithParam<Golden> {};

TEST_P(GoldenPayload, IsAsRecorded) {
  const std::string path = test::source_dir().string() + "/src/backends/xnnpack/golden/" + GetParam().name + ".txt";
  const std::string text = text_of(GetParam());
  if (std::getenv("INTAGLIO_UPDATE_GOLDEN")) std::ofstream(path) << text;
  std::stringstream recorded;
  recorded << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, recorded.str());
}

INSTANTIATE_TEST_SUITE_P(Xnnpack, GoldenPayload, testing::ValuesIn(goldens), [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace intaglio::xnnpack
