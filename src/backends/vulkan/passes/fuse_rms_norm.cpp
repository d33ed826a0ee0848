#include "backends/common/rms_norm.h"
#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {

void fuse_rms_norm(ExportedProgram& program) {
  common::write_rms_norms(program, "et_vk.rms_norm.default", [](const common::RmsNorm& norm) -> std::vector<NamedArgument> {
    return {{"x", norm.input}, {"weight", norm.weight}, {"eps", norm.eps}};
  });
}

}  // namespace intaglio::vulkan
