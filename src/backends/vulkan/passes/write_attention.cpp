#include "backends/vulkan/caches.h"
#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {

void write_attention(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is(attention_op)) continue;
    std::vector<NamedArgument> arguments;
    for (const char* operand : {"query", "key", "value", "start_pos"}) arguments.push_back({operand, *node->find(operand)});
    for (auto& [option, value] : {std::pair{"attn_mask", Argument()}, {"drpout_p", Argument(0.0)}, {"is_causal", Argument(true)}, {"scale", Argument()}})
      arguments.push_back({option, value});
    graph.set_arguments(*node, std::move(arguments));
  }
}

}  // namespace intaglio::vulkan
