#include "backends/common/rms_norm.h"
#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {

void fuse_rms_norm(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const auto norm = common::match_rms_norm(program, *node);
    if (!norm) continue;
    graph.set_arguments(*node, {});
    graph.set_op(*node, Op::get("et_vk.rms_norm.default"));
    graph.set_argument(*node, "x", norm->input);
    graph.set_argument(*node, "weight", norm->weight);
    graph.set_argument(*node, "eps", norm->eps);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::vulkan
