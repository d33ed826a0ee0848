#include "pt2/safetensors.h"

#include <bit>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <intaglio/weights.h>

#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio {
namespace {

// Another file each time: one that a program still reads may not change.
std::filesystem::path written(const std::string& header, const std::vector<float>& data) {
  static int count = 0;
  const auto path = std::filesystem::path(testing::TempDir()) / ("weights_" + std::to_string(count++) + ".safetensors");
  std::ofstream out(path, std::ios::binary);
  const uint64_t length = header.size();
  out.write(reinterpret_cast<const char*>(&length), sizeof length);
  out << header;
  out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size() * sizeof(float)));
  return path;
}

struct Program : test::ProgramBuilder {
  Program() { y = (*this)("aten.add.Tensor", input("x", {2}), parameter("outer.w", Tensor::of<float>({1, 2}, {2}))); }
  Value* y;
};

std::string refusal(const std::string& header) {
  Program p;
  return test::refusal_of(ErrorKind::bad_input, [&] { replace_weights(p.program, written(header, {3, 4})); });
}

TEST(Safetensors, ReplacesByNameWithoutOuterModules) {
  Program p;
  replace_weights(p.program,
                  written(R"({"__metadata__": {"format": "pt"}, "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", {3, 4}));
  const Tensor& w = p.program.state.find("outer.w")->tensor;
  EXPECT_EQ(w.span<float>()[0], 3);
  EXPECT_EQ(w.span<float>()[1], 4);
}

TEST(Safetensors, WhatDoesNotFitIsNamed) {
  EXPECT_NE(
      refusal(R"({"v": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})").find("no tensor for the program's parameter 'outer.w'"),
      std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}})").find("'w' is float32 [1, 2]"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}})")
                .find("'w' is int32 [2], and the program's is float32 [2]: export the model in int32, or save the weights in float32"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}})")
                .find("'w' is float8_e4m3fn [2], and the program's is float32 [2]"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 12]}})").find("do not fit together"), std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "F9", "shape": [2], "data_offsets": [0, 8]}})").find("'w': the element type F9"), std::string::npos);
  for (const char* shape : {"-2, 1", "1099511627776, 1099511627776", "0.5", "\"2\""})
    EXPECT_NE(refusal(fmt::format(R"({{"w": {{"dtype": "F32", "shape": [{}], "data_offsets": [0, 8]}}}})", shape)).find(": 'w': "),
              std::string::npos)
        << shape;
  EXPECT_NE(
      refusal(
          R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "more": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})")
          .find("'more' is no tensor of the program"),
      std::string::npos);
}

// 0x3fc0 is 1.5 in bfloat16 and 1.9375 in float16.
TEST(Safetensors, SixteenBitsAreWidenedWhereTheProgramIsInFloat32) {
  const float word = std::bit_cast<float>(0x3fc03fc0);
  for (const auto& [type, value] : {std::pair("BF16", 1.5f), std::pair("F16", 1.9375f)}) {
    Program p;
    replace_weights(p.program, written(fmt::format(R"({{"w": {{"dtype": "{}", "shape": [2], "data_offsets": [0, 4]}}}})", type), {word}));
    const Tensor& w = p.program.state.find("outer.w")->tensor;
    EXPECT_EQ(w.span<float>()[0], value) << type;
    EXPECT_EQ(w.span<float>()[1], value) << type;
  }
}

TEST(Safetensors, AnIndexStandsForItsFolder) {
  const auto shard = written(R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", {3, 4});
  const auto index = shard.parent_path() / "sharded.safetensors.index.json";
  std::ofstream(index) << fmt::format(R"({{"weight_map": {{"w": "{}"}}}})", shard.filename().string());
  Program p;
  replace_weights(p.program, index);
  EXPECT_EQ(p.program.state.find("outer.w")->tensor.span<float>()[1], 4);
}

// Parameters over one storage, as the archive keeps what is tied and what is a part of something larger.
struct Shared : test::ProgramBuilder {
  Shared() {
    const Tensor whole = Tensor::of<float>({1, 2, 3, 4}, {4});
    x = input("x", {2});
    for (const auto& [name, start] : {std::pair("tied", 0), std::pair("again", 0), std::pair("behind", 2)})
      x = (*this)("aten.add.Tensor", x, parameter(name, whole.narrowed(0, start, 2)));
  }
  Value* x;
  float first(const char* name) { return program.state.find(name)->tensor.contiguous().span<float>()[0]; }
};

TEST(Safetensors, OneNameIsEnoughForTiedParametersAlone) {
  Shared p;
  replace_weights(p.program, written(R"({"again": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                                         "behind": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}})",
                                     {5, 6, 7, 8}));
  EXPECT_EQ(p.first("tied"), 5);
  EXPECT_EQ(p.first("again"), 5);
  EXPECT_EQ(p.first("behind"), 7);
  Shared lacking;
  EXPECT_NE(
      test::refusal_of(
          ErrorKind::bad_input,
          [&] { replace_weights(lacking.program, written(R"({"tied": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", {5, 6})); })
          .find("no tensor for the program's parameter 'behind'"),
      std::string::npos);
}

TEST(Safetensors, TiedParametersStayTiedWhenTheyAreWidened) {
  Shared p;
  replace_weights(p.program, written(R"({"tied": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]},
                                         "behind": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})",
                                     {std::bit_cast<float>(0x3fc03fc0), 7, 8}));
  EXPECT_EQ(p.first("again"), 1.5f);
  EXPECT_EQ(p.program.state.find("tied")->tensor.storage(), p.program.state.find("again")->tensor.storage());
}

TEST(Safetensors, TiedParametersThatDifferAreRefused) {
  const auto replaced = [](const std::vector<float>& data) {
    Shared p;
    replace_weights(p.program, written(R"({"tied": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                                           "again": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
                                           "behind": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]}})",
                                       data));
    return p.first("again");
  };
  EXPECT_EQ(replaced({5, 6, 5, 6, 9, 9}), 5);
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { replaced({5, 6, 5, 7, 9, 9}); }).find("'tied' and 'again' differ"),
            std::string::npos);
}

// {"NAME": two floats of these, ...}
std::string header_of(const std::vector<std::string>& names, const std::string& shape = "2") {
  std::string text;
  for (const std::string& name : names)
    text += fmt::format(R"({}"{}": {{"dtype": "F32", "shape": [{}], "data_offsets": [0, 8]}})", text.empty() ? "{" : ", ", name, shape);
  return text + "}";
}

TEST(Safetensors, NamesMayHaveMoreOuterModules) {
  Program p;
  replace_weights(p.program, written(header_of({"module.outer.w"}), {3, 4}));
  EXPECT_EQ(p.program.state.find("outer.w")->tensor.span<float>()[1], 4);
  const std::string two = refusal(header_of({"a.outer.w", "b.outer.w"}));
  EXPECT_NE(two.find("no tensor for the program's parameter 'outer.w'; its 'a.outer.w' may be meant"), std::string::npos) << two;
}

TEST(Safetensors, AMissingNameIsComparedWithTheOthers) {
  struct Named : test::ProgramBuilder {
    Named() { (*this)("aten.add.Tensor", input("x", {2}), parameter("model.layers.0.w", Tensor::of<float>({1, 2}, {2}))); }
  } p;
  const auto refused = [&](const std::vector<std::string>& names) {
    return test::refusal_of(ErrorKind::bad_input, [&] { replace_weights(p.program, written(header_of(names), {3, 4})); });
  };
  EXPECT_NE(refused({"model.text.layers.0.w", "model.text.layers.1.w"}).find("its 'model.text.layers.0.w' may be meant"),
            std::string::npos);
  EXPECT_EQ(refused({"other.w"}).find("may be meant"), std::string::npos);
}

TEST(Safetensors, WhatIsNoPlainCheckpointSaysWhatItIs) {
  for (const auto& [name, what] :
       {std::pair("base_model.model.outer.w.lora_A.weight", "it is a LoRA adapter: merge it into its base model"),
        std::pair("outer.qweight", "its weights are quantized already: take the float checkpoint"),
        std::pair("outer.weight_packed", "its weights are quantized already"),
        std::pair("outer.w.absmax", "its weights are quantized already")}) {
    const std::string refused = refusal(header_of({name}));
    EXPECT_NE(refused.find(fmt::format("'{}' says that {}", name, what)), std::string::npos) << refused;
  }
  // Part of a name says nothing.
  EXPECT_EQ(refusal(header_of({"outer.prescales"})).find("says that"), std::string::npos);
}

TEST(Safetensors, WhatModelsComputeThemselvesMayStandBesideTheWeights) {
  Program p;
  replace_weights(p.program, written(header_of({"outer.w", "layers.0.rotary_emb.inv_freq", "embeddings.position_ids"}), {3, 4}));
  EXPECT_EQ(p.program.state.find("outer.w")->tensor.span<float>()[0], 3);
  // A causal mask, not a bias.
  replace_weights(p.program, written(R"({"outer.w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, )"
                                     R"("h.0.attn.bias": {"dtype": "F32", "shape": [1, 1, 1, 1], "data_offsets": [4, 8]}})",
                                     {5, 6}));
  EXPECT_NE(refusal(header_of({"outer.w", "h.0.attn.bias"})).find("'h.0.attn.bias' is no tensor of the program"), std::string::npos);
}

TEST(Safetensors, OtherFormatsAreNamed) {
  const auto refused = [](const std::string& first) {
    const auto path = std::filesystem::path(testing::TempDir()) / "other_format";
    std::ofstream(path, std::ios::binary) << first << std::string(64, '\1');
    Program p;
    return test::refusal_of(ErrorKind::bad_input, [&] { replace_weights(p.program, path); });
  };
  EXPECT_NE(refused("GGUF").find("but GGUF"), std::string::npos);
  EXPECT_NE(refused("\x80\2").find("but a pickle"), std::string::npos);
  EXPECT_NE(refused("PK\3\4").find("but an archive"), std::string::npos);
}

TEST(Safetensors, AFolderWithoutWeightsIsNamed) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "no_weights";
  std::filesystem::create_directories(folder);
  Program p;
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { replace_weights(p.program, folder); }).find("neither model.safetensors nor"),
            std::string::npos);
}

}  // namespace
}  // namespace intaglio
