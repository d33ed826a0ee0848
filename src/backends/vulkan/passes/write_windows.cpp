#include <string_view>

#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {

void write_windows(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.avg_pool2d.default") && !node->is("aten.max_pool2d_with_indices.default")) continue;
    const auto pair_of = [&](std::string_view argument) {
      std::vector<int64_t> values = node->integers(argument);
      if (values.size() == 1) values.push_back(values.front());
      return values;
    };
    const std::vector<int64_t> window = pair_of("kernel_size");
    std::vector<int64_t> stride = pair_of("stride");
    if (stride.empty()) stride = window;
    graph.set_argument(*node, "kernel_size", window);
    graph.set_argument(*node, "stride", stride);
    for (const std::string_view argument : {"padding", "dilation"})
      if (node->op().schema()->find(argument)) graph.set_argument(*node, argument, pair_of(argument));
  }
}

}  // namespace intaglio::vulkan
