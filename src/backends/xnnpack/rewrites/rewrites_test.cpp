// The `.test` files beside the rewrites.
#include "backends/xnnpack/rewrites/rewrites.h"
#include "backends/common/own_readers.h"
#include "testing/text_cases.h"

namespace intaglio::xnnpack {
namespace {

const bool rewrites_registered =
    test::register_text_cases("XnnpackRewrites", "src/backends/xnnpack/rewrites",
                              test::program_passes({
                                  {"choose_by_bounds", [](ExportedProgram& program) { choose_by_bounds(program, {}); }},
                                  {"flatten_many_dims", flatten_many_dims},
                                  {"quantize_around_moves", [](ExportedProgram& program) { quantize_around_moves(program, {}); }},
                                  {"read_float_outside_kernels", [](ExportedProgram& program) { read_float_outside_kernels(program, {}); }},
                              }));

}  // namespace
}  // namespace intaglio::xnnpack
