// A partition as the graph of Samsung's compiler. Shown by graphs.test; its calls beside ExecuTorch's: tests/test_exynos.py.
#pragma once

#include <intaglio/program.h>

#include "backends/exynos/enn_graph.h"

namespace intaglio::exynos {

// Each operator of the program has a row in the table and is within its limits, as the partitioner sees to it.
EnnGraph make_graph(const ExportedProgram& partition, Chipset chipset, Compat compat);

}  // namespace intaglio::exynos
