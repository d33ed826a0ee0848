// A graph of a hand-over as operators again, for runs on the host: each operator computes on the numbers that its tensors stand for, and an
// int8 result is quantized. Test: tests/test_exynos.py.
#pragma once

#include <intaglio/program.h>

#include "backends/exynos/enn_graph.h"

namespace intaglio::exynos {

// Puts the graph in the place of `call`, whose inputs and results it has. Bad-input error naming the operator for one that does not exist
// or whose tensors do not fit it.
void import_graph(ExportedProgram& program, Node& call, const EnnGraph& graph);

}  // namespace intaglio::exynos
