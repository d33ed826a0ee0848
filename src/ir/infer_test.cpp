#include "ir/infer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <intaglio/error.h>

namespace intaglio {
namespace {

// A graph with one node under test; operands by size and type.
struct Bench {
  Graph graph;
  Value* tensor(SymSizes sizes, DType dtype = DType::float32) {
    return graph.add_input(graph.inputs().size(), {TensorMeta::contiguous(dtype, std::move(sizes)), "x"});
  }
  Node& node(const char* op, std::vector<NamedArgument> arguments) {
    return graph.insert_before(nullptr, Op::get(op), std::move(arguments), {});
  }
  std::string infer(const char* op, std::vector<NamedArgument> arguments) {
    const auto outputs = infer_outputs(node(op, std::move(arguments)));
    if (!outputs) return "unknown";
    std::string text;
    for (const TensorMeta& meta : *outputs) text += (text.empty() ? "" : " ") + to_string(meta);
    return text;
  }
  std::string refusal(const char* op, std::vector<NamedArgument> arguments) {
    try {
      infer_outputs(node(op, std::move(arguments)));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      return error.what();
    }
    return "";
  }
};

SymInt symbol(const char* name, int64_t hint) {
  return SymInt(std::make_shared<SymExpr>(SymExpr{SymExpr::Kind::symbol, name, 0, {}}), name, hint);
}
using Ints = std::vector<int64_t>;
using Values = std::vector<Value*>;

TEST(Infer, ElementwiseBroadcastsAndPromotes) {
  Bench b;
  Value* x = b.tensor({2, 1, 4});
  Value* i = b.tensor({3, 1}, DType::int64);
  Value* h = b.tensor({4}, DType::float16);
  Value* zero_dim = b.tensor({}, DType::float64);
  EXPECT_EQ(b.infer("aten.add.Tensor", {{"self", x}, {"other", i}}), "f32[2, 3, 4]");
  EXPECT_EQ(b.infer("aten.add.Tensor", {{"self", i}, {"other", 2.5}}), "f32[3, 1]");
  EXPECT_EQ(b.infer("aten.mul.Tensor", {{"self", h}, {"other", zero_dim}}), "f16[4]");
  EXPECT_EQ(b.infer("aten.div.Tensor", {{"self", i}, {"other", i}}), "f32[3, 1]");
  EXPECT_EQ(b.infer("aten.gt.Scalar", {{"self", x}, {"other", 0}}), "b8[2, 1, 4]");
  EXPECT_EQ(b.infer("aten.sigmoid.default", {{"self", i}}), "f32[3, 1]");
  EXPECT_NE(b.refusal("aten.add.Tensor", {{"self", h}, {"other", b.tensor({3})}}).find("do not broadcast"), std::string::npos);
}

TEST(Infer, DiagonalsComeLast) {
  Bench b;
  Value* x = b.tensor({2, 3, 5});
  EXPECT_EQ(b.infer("aten.diagonal.default", {{"self", x}}), "f32[5, 2]");
  EXPECT_EQ(b.infer("aten.diagonal.default", {{"self", x}, {"offset", 3}, {"dim1", 1}, {"dim2", 2}}), "f32[2, 2]");
  EXPECT_EQ(b.infer("aten.diagonal.default", {{"self", x}, {"offset", -2}, {"dim1", -1}, {"dim2", 0}}), "f32[3, 2]");
  EXPECT_EQ(b.infer("aten.diagonal.default", {{"self", x}, {"offset", 9}}), "f32[5, 0]");
  EXPECT_NE(b.refusal("aten.diagonal.default", {{"self", x}, {"dim1", 1}, {"dim2", -2}}).find("are the same"), std::string::npos);
}

TEST(Infer, ConvolutionAndPooling) {
  Bench b;
  Value* x = b.tensor({1, 3, 224, 224});
  Value* w = b.tensor({32, 3, 3, 3});
  EXPECT_EQ(b.infer("aten.conv2d.default", {{"input", x}, {"weight", w}, {"bias", {}}, {"stride", Ints{2, 2}}, {"padding", Ints{1, 1}}}),
            "f32[1, 32, 112, 112]");
  EXPECT_EQ(b.infer("aten.conv2d.padding", {{"input", x}, {"weight", w}, {"padding", "same"}}), "f32[1, 32, 224, 224]");
  EXPECT_EQ(b.infer("aten.conv_transpose2d.input", {{"input", b.tensor({1, 8, 7, 7})},
                                                    {"weight", b.tensor({8, 4, 3, 3})},
                                                    {"stride", Ints{2, 2}},
                                                    {"output_padding", Ints{1, 1}},
                                                    {"padding", Ints{1, 1}}}),
            "f32[1, 4, 14, 14]");
  EXPECT_EQ(b.infer("aten.max_pool2d.default", {{"self", x}, {"kernel_size", Ints{3, 3}}, {"stride", Ints{2, 2}}, {"ceil_mode", true}}),
            "f32[1, 3, 112, 112]");
  EXPECT_EQ(b.infer("aten.avg_pool2d.default", {{"self", x}, {"kernel_size", Ints{2, 2}}}), "f32[1, 3, 112, 112]");
  EXPECT_NE(b.refusal("aten.conv2d.default", {{"input", b.tensor({1, 4, 8, 8})}, {"weight", w}}).find("channels"), std::string::npos);
  EXPECT_NE(b.refusal("aten.conv2d.default", {{"input", x}, {"weight", w}, {"stride", Ints{0, 0}}}).find("positive"), std::string::npos);

  const auto columns = [&](Ints kernel, Ints padding) -> std::vector<NamedArgument> {
    return {
        {"self", b.tensor({2, 3, 9, 8})}, {"kernel_size", kernel}, {"dilation", Ints{2, 1}}, {"padding", padding}, {"stride", Ints{1, 2}}};
  };
  EXPECT_EQ(b.infer("aten.im2col.default", columns({3, 2}, {1, 0})), "f32[2, 18, 28]");
  EXPECT_NE(b.refusal("aten.im2col.default", columns({3, 2}, {1, INT64_MAX - 1})).find("out of range"), std::string::npos);
  EXPECT_NE(b.refusal("aten.im2col.default", columns({9, 2}, {1, 0})).find("larger than the padded input"), std::string::npos);
  for (const Ints& list : {Ints{}, Ints{1, 1, 1}})
    for (const char* name : {"stride", "padding", "dilation", "output_padding"}) {
      const std::string refusal =
          b.refusal("aten.conv_transpose2d.input", {{"input", b.tensor({1, 8, 7, 7})}, {"weight", b.tensor({8, 4, 3, 3})}, {name, list}});
      EXPECT_NE(refusal.find("wrong length"), std::string::npos) << name << refusal;
    }
}

TEST(Infer, Views) {
  Bench b;
  Value* x = b.tensor({2, 3, 4});
  EXPECT_EQ(b.infer("aten.view.default", {{"self", x}, {"size", Ints{2, -1}}}), "f32[2, 12]");
  EXPECT_EQ(b.infer("aten.view_copy.default", {{"self", x}, {"size", Ints{24}}}), "f32[24]");
  EXPECT_EQ(b.infer("aten.permute_copy.default", {{"self", x}, {"dims", Ints{-1, 0, 1}}}), "f32[4, 2, 3]");
  EXPECT_EQ(b.infer("aten.slice.Tensor", {{"self", x}, {"dim", 1}, {"start", -2}, {"end", INT64_MAX}}), "f32[2, 2, 4]");
  EXPECT_EQ(b.infer("aten.split.Tensor", {{"self", x}, {"split_size", 3}, {"dim", 2}}), "f32[2, 3, 3] f32[2, 3, 1]");
  EXPECT_EQ(b.infer("aten.index.Tensor", {{"self", x}, {"indices", Values{nullptr, b.tensor({5}, DType::int64)}}}), "f32[2, 5, 4]");
  EXPECT_NE(b.refusal("aten.view.default", {{"self", x}, {"size", Ints{5, 5}}}).find("24 elements"), std::string::npos);
}

TEST(Infer, SymbolsCancel) {
  Bench b;
  Value* x = b.tensor({symbol("s0", 2), 3, symbol("s1", 8), 4});
  EXPECT_EQ(b.infer("aten.view.default", {{"self", x}, {"size", Ints{-1, 12}}}), "f32[s0*s1, 12]");
  EXPECT_EQ(b.infer("aten.flatten.using_ints", {{"self", x}, {"start_dim", 1}}), "f32[s0, 12*s1]");
  EXPECT_EQ(b.infer("aten.conv2d.default", {{"input", b.tensor({symbol("s0", 2), 3, 8, 8})}, {"weight", b.tensor({6, 3, 1, 1})}}),
            "f32[s0, 6, 8, 8]");
}

TEST(Infer, ImagesWithoutElements) {
  Bench b;
  for (const char* op : {"aten.adaptive_avg_pool2d.default", "aten.adaptive_max_pool2d.default"}) {
    EXPECT_EQ(b.infer(op, {{"self", b.tensor({0, 3, 8, 8})}, {"output_size", Ints{2, 2}}}).substr(0, 15), "f32[0, 3, 2, 2]");
    EXPECT_NE(b.refusal(op, {{"self", b.tensor({2, 3, 0, 8})}, {"output_size", Ints{2, 2}}}).find("a size of 0"), std::string::npos);
  }
  EXPECT_NE(b.refusal("aten.avg_pool2d.default", {{"self", b.tensor({3, 8, 0})}, {"kernel_size", Ints{1, 1}}}).find("a size of 0"),
            std::string::npos);
}

TEST(Infer, QuantizedValues) {
  Bench b;
  Value* real = b.tensor({2, 3});
  Value* bytes = b.tensor({2, 3}, DType::int8);
  const auto quantize = [&](int64_t least, int64_t greatest, DType dtype) -> std::vector<NamedArgument> {
    return {{"input", real}, {"scale", 0.5}, {"zero_point", 0}, {"quant_min", least}, {"quant_max", greatest}, {"dtype", dtype}};
  };
  constexpr const char* op = "quantized_decomposed.quantize_per_tensor.default";
  EXPECT_EQ(b.infer(op, quantize(-128, 127, DType::int8)), "i8[2, 3]");
  EXPECT_NE(b.refusal(op, quantize(1000, 127, DType::int8)).find("quant_min 1000 is not below quant_max 127"), std::string::npos);
  EXPECT_NE(b.refusal(op, quantize(0, 255, DType::int8)).find("value 255 does not fit int8"), std::string::npos);
  std::vector<NamedArgument> truth = quantize(-128, 127, DType::int8);
  truth[3].value = true;
  EXPECT_NE(b.refusal(op, truth).find("true or false"), std::string::npos);
  std::vector<NamedArgument> far = quantize(-128, 127, DType::int8);
  far[2].value = int64_t{1000};
  EXPECT_NE(b.refusal(op, far).find("the zero point 1000 does not fit int8"), std::string::npos);
  std::vector<NamedArgument> arguments = quantize(-128, 127, DType::uint8);
  arguments[0].value = bytes;
  EXPECT_NE(b.refusal("quantized_decomposed.dequantize_per_tensor.default", arguments).find("are int8, 'dtype' says uint8"),
            std::string::npos);
  const auto rows = [&](const char* name, SymSizes scales) -> std::string {
    const std::vector<NamedArgument> table = {
        {"weight", b.tensor({8, 4}, std::string_view(name) == "embedding_byte" ? DType::int8 : DType::uint8)},
        {"weight_scales", b.tensor(std::move(scales))},
        {"weight_zero_points", {}},
        {"weight_quant_min", -2},
        {"weight_quant_max", 1},
        {"indices", b.tensor({5, 6}, DType::int64)}};
    return b.infer(fmt::format("quantized_decomposed.{}.default", name).c_str(), table);
  };
  EXPECT_EQ(b.infer("quantized_decomposed.embedding_byte.default", {{"weight", b.tensor({8, 4}, DType::uint8)},
                                                                    {"weight_scales", b.tensor({8})},
                                                                    {"weight_zero_points", {}},
                                                                    {"weight_quant_min", 0},
                                                                    {"weight_quant_max", 255},
                                                                    {"indices", b.tensor({3}, DType::int64)}}),
            "f32[3, 4]");
  EXPECT_EQ(rows("embedding_byte", {8}), "f32[5, 6, 4]");
  EXPECT_EQ(rows("embedding_4bit", {8, 2}), "f32[5, 6, 8]");
  EXPECT_EQ(rows("embedding_2bit", {8, 2}), "f32[5, 6, 16]");
  EXPECT_THROW(rows("embedding_byte", {7}), Error);
  EXPECT_THROW(rows("embedding_4bit", {8, 3}), Error);
}

TEST(Infer, SymbolsThatOnlyAgreeInTheExportedCall) {
  Graph graph;
  Value* x = graph.add_input(0, {TensorMeta::contiguous(DType::float32, {symbol("s0", 2), symbol("s1", 2), 2}), "x"});
  Node& relu = graph.insert_before(nullptr, Op::get("aten.relu.default"), {{"self", x}},
                                   {{TensorMeta::contiguous(DType::float32, {symbol("s1", 2), 2, symbol("s0", 2)})}});
  check_metadata(graph);  // nothing in the exported call says otherwise
  settle_metadata(graph);
  EXPECT_EQ(to_string(relu.output()->meta()), "f32[s0, s1, 2]");
}

TEST(Infer, ArchiveThatLies) {
  Graph graph;
  Value* x = graph.add_input(0, {TensorMeta::contiguous(DType::float32, {2, 3}), "x"});
  Node& relu =
      graph.insert_before(nullptr, Op::get("aten.relu.default"), {{"self", x}}, {{TensorMeta::contiguous(DType::float32, {2, 3})}});
  check_metadata(graph);
  relu.output()->meta().sizes[1] = 300;
  try {
    check_metadata(graph);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_NE(std::string(error.what()).find("f32[2, 300]"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("f32[2, 3]"), std::string::npos);
  }
}

}  // namespace
}  // namespace intaglio
