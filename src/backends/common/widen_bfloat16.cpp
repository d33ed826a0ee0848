#include "backends/common/widen_bfloat16.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "pt2e/passes.h"

namespace intaglio::common {
namespace {

// Portable kernels take many times as long as those of a backend.
std::string widen_bfloat16(const std::string& title, ExportedProgram& program) {
  try {
    if (!pt2e::compute_in_float32(program, {DType::bfloat16})) return "";
    return fmt::format(
        "the program is in bfloat16 and computes in float32, which {} has kernels for: weights take twice the room, inputs and outputs "
        "keep their types",
        title);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    return fmt::format("the program stays in bfloat16, which {} has no kernels for: {}", title, error.what());
  }
}

}  // namespace

std::vector<RecipeStep> float_steps(const std::string& title, const SettingValues& settings) {
  if (compat_of(settings) == Compat::torchao) return {};
  return {TransformStep{"bfloat16 to float32", [title](ExportedProgram& program) { return widen_bfloat16(title, program); }}};
}

}  // namespace intaglio::common
