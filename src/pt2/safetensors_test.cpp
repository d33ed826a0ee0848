#include "pt2/safetensors.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <intaglio/weights.h>

#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio {
namespace {

std::filesystem::path written(const std::string& header, const std::vector<float>& data) {
  const auto path = std::filesystem::path(testing::TempDir()) / "weights.safetensors";
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
  EXPECT_NE(refusal(R"({"w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}})").find("'w' is float16 [2]"), std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 12]}})").find("do not fit together"), std::string::npos);
  EXPECT_NE(refusal(R"({"w": {"dtype": "F9", "shape": [2], "data_offsets": [0, 8]}})").find("F9"), std::string::npos);
  EXPECT_NE(
      refusal(
          R"({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "more": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})")
          .find("'more' is no tensor of the program"),
      std::string::npos);
}

}  // namespace
}  // namespace intaglio
