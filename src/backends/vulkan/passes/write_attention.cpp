#include "backends/vulkan/caches.h"
#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {

void write_attention(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is(attention_op)) continue;
    std::vector<NamedArgument> arguments;
    for (const char* operand : {"query", "key", "value", "start_pos"}) arguments.push_back({operand, *node->find(operand)});
    arguments.push_back({"attn_mask", {}});
    arguments.push_back({"drpout_p", 0.0});
    arguments.push_back({"is_causal", true});
    arguments.push_back({"scale", {}});
    graph.set_arguments(*node, std::move(arguments));
  }
}

}  // namespace intaglio::vulkan
