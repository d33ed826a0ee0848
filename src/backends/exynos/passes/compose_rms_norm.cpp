#include "backends/common/rms_norm.h"
#include "backends/exynos/passes/passes.h"

namespace intaglio::exynos {

void compose_rms_norm(ExportedProgram& program) {
  common::write_rms_norms(program, "aten.rms_norm.default", [](const common::RmsNorm& norm) -> std::vector<NamedArgument> {
    return {{"input", norm.input}, {"normalized_shape", norm.weight->meta().static_sizes()}, {"weight", norm.weight}, {"eps", norm.eps}};
  });
}

}  // namespace intaglio::exynos
