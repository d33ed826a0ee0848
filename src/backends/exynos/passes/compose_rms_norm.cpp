#include "backends/common/rms_norm.h"
#include "backends/exynos/passes/passes.h"

namespace intaglio::exynos {

void compose_rms_norm(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const auto norm = common::match_rms_norm(program, *node);
    if (!norm) continue;
    graph.set_arguments(*node, {});
    graph.set_op(*node, Op::get("aten.rms_norm.default"));
    graph.set_arguments(
        *node,
        {{"input", norm->input}, {"normalized_shape", norm->weight->meta().static_sizes()}, {"weight", norm->weight}, {"eps", norm->eps}});
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::exynos
