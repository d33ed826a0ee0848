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

TEST(Decompose, WhatOperandsDoNotHaveIsTheFilesFault) {
  ExportedProgram program = parse_program("user %x: f32[2, 3]\n%y: f32[2, 3] = aten.rot90.default(%x, 1, [1])\noutput user %y\n");
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { decompose(program); }).find("aten.rot90"), std::string::npos);
}

}  // namespace
}  // namespace intaglio::decompose
