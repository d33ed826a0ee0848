// The `.test` files beside this file.
#include "decompose/decompose.h"

#include "decompose/complex/lower_complex.h"
#include "decompose/regions.h"
#include "testing/text_cases.h"

namespace intaglio {
namespace {

const bool registered = test::register_text_cases(
    "Decompose", "src/decompose",
    test::program_passes({
        {"decompose", [](ExportedProgram& program) { decompose(program); }},
        {"decompose all but hardswish",
         [](ExportedProgram& program) { decompose(program, [](const Node& node) { return node.is("aten.hardswish.default"); }); }},
        {"inline_regions", inline_regions},
        {"lower_complex", lower_complex},
    }));

}  // namespace
}  // namespace intaglio
