// The `.test` files beside this file.
#include "decompose/decompose.h"

#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "decompose/recognize_linear.h"
#include "decompose/regions.h"
#include "ir/parser.h"
#include "testing/errors.h"
#include "testing/text_cases.h"

namespace intaglio::decompose {
namespace {

const bool registered = test::register_text_cases(
    "Decompose", "src/decompose",
    test::program_passes({
        {"decompose", [](ExportedProgram& program) { decompose(program); }},
        {"decompose all but hardswish",
         [](ExportedProgram& program) { decompose(program, [](const Node& node) { return node.is("aten.hardswish.default"); }); }},
        {"eliminate_dead_code", [](ExportedProgram& program) { program.graph().eliminate_dead_code(); }},
        {"expand_fused_layers", expand_fused_layers},
        {"functionalize", functionalize},
        {"functionalize_shared_writes", functionalize_shared_writes},
        {"inline_regions", inline_regions},
        {"recognize_gelu", recognize_gelu},
        {"recognize_linear", [](ExportedProgram& program) { recognize_linear(program); }},
        {"replace_in_place_views", replace_in_place_views},
        {"lower_complex", lower_complex},
    }));

TEST(Decompose, ARollHasAShiftForEachDimension) {
  for (const auto& [shifts, dims] : {std::pair("[1, 2, 2]", "[0, 1]"), std::pair("[1, 2]", "[]")}) {
    ExportedProgram program =
        parse_program(fmt::format("user %x: f32[3, 4]\n%y = aten.roll.default(%x, {}, {})\noutput user %y\n", shifts, dims));
    EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { decompose(program); }).find("shifts of"), std::string::npos);
  }
}

TEST(Decompose, PartsWhoseSizesASymbolDecidesAreNoBug) {
  ExportedProgram program =
      parse_program("range s0: 2..8 hint 4\nuser %x: f32[s0, s0]\n%y: f32[] = aten.trace.default(%x)\noutput user %y\n");
  const std::string refusal = test::refusal_of(ErrorKind::unsupported, [&] { decompose(program); });
  EXPECT_NE(refusal.find("aten.trace"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("export with that size fixed"), std::string::npos) << refusal;
}

// 30 transforms, each of what the one before it gives.
std::string chain_of(std::string_view transform) {
  std::string text = "user %x0: complex64[4, 16]\n";
  for (int i = 0; i < 30; ++i) text += fmt::format("%x{}: complex64[4, 16] = aten.{}.default(%x{})\n", i + 1, transform, i);
  return text + "%y: f32[4, 16, 2] = aten.view_as_real.default(%x30)\noutput user %y\n";
}

TEST(Decompose, ChainsOfTransformsGrowByTheirLength) {
  ExportedProgram program = parse_program(chain_of("fft_fft"));
  lower_complex(program);
  decompose(program);
  EXPECT_LT(program.graph().size(), 30u * 40u);
}

TEST(Decompose, ATransformOfRealSignalsTakesNoComplexOnes) {
  ExportedProgram program = parse_program(
      "user %x: complex64[4, 16]\n%z: complex64[4, 9] = aten.fft_rfft.default(%x)\n%y: f32[4, 9, 2] = aten.view_as_real.default(%z)\n"
      "output user %y\n");
  EXPECT_NE(test::refusal_of(ErrorKind::unsupported, [&] { lower_complex(program); }).find("aten.fft_rfft"), std::string::npos);
}

TEST(Decompose, WhatIsExpandedHasNoMoreDimensionsThanItsResult) {
  ExportedProgram program = parse_program("user %x: f32[2, 3]\n%y: f32[3] = aten.fill.Tensor(%x, %x)\noutput user %y\n");
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { decompose(program); }).find("2 dimensions"), std::string::npos);
}

TEST(Decompose, RepeatedElementsKeepTheOtherDimensions) {
  ExportedProgram program = parse_program(
      "user %x: f32[3, 8]\nuser %n: i64[3]\n%y: f32[8, u0] = aten.repeat_interleave.self_Tensor(%x, %n, 0)\noutput user %y\n");
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { decompose(program); }).find("another dimension"), std::string::npos);
}

TEST(Decompose, WhatOperandsDoNotHaveIsTheFilesFault) {
  ExportedProgram program = parse_program("user %x: f32[2, 3]\n%y: f32[2, 3] = aten.rot90.default(%x, 1, [1])\noutput user %y\n");
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { decompose(program); }).find("aten.rot90"), std::string::npos);
}

}  // namespace
}  // namespace intaglio::decompose
