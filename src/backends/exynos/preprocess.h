// From a partition to what its delegate consists of.
#pragma once

#include <intaglio/exynos.h>

#include "backends/exynos/enn_graph.h"

namespace intaglio::exynos {

// Rewrites the partition in place.
EnnGraph lower_partition(ExportedProgram& partition, Chipset chipset, Compat compat);

// The value of `enn_compile_options`: a flatbuffer of the chipset, as ExecuTorch writes it.
std::vector<std::byte> compile_options(Chipset chipset);

}  // namespace intaglio::exynos
