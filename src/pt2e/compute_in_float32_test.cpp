#include "pt2e/passes.h"

#include "testing/text_cases.h"

namespace intaglio::pt2e {
namespace {

test::ProgramPass widening(std::vector<DType> types) {
  return [types](ExportedProgram& program) { compute_in_float32(program, types); };
}

const bool compute_registered =
    test::register_text_cases("ComputeInFloat32", "src/pt2e/compute_in_float32.test",
                              test::program_passes({{"compute_in_float32", widening({DType::float16, DType::bfloat16})},
                                                    {"compute_in_float32 bfloat16", widening({DType::bfloat16})}}));

}  // namespace
}  // namespace intaglio::pt2e
