#include <limits>
#include <optional>
#include <utility>

#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {
namespace {

constexpr double largest = std::numeric_limits<double>::max();

std::optional<std::pair<double, double>> clamp_of(const Node& node) {
  if (node.is("aten.relu.default")) return std::pair{0.0, largest};
  if (node.is("aten.hardtanh.default")) return std::pair{node.number("min_val"), node.number("max_val")};
  if (node.is("aten.clamp.default"))
    return std::pair{node.optional_number("min").value_or(-largest), node.optional_number("max").value_or(largest)};
  return std::nullopt;
}

}  // namespace

void fuse_clamps(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const auto bounds = clamp_of(*node);
    Node* convolution = bounds ? node->inputs().front()->producer() : nullptr;
    if (!convolution || !convolution->is("aten.convolution.default") || !convolution->output()->has_one_user()) continue;
    graph.set_op(*convolution, Op::get("et_vk.conv_with_clamp.default"));
    graph.set_argument(*convolution, "output_min", bounds->first);
    graph.set_argument(*convolution, "output_max", bounds->second);
    graph.replace_all_uses(node->output(), convolution->output());
    graph.erase(node);
  }
}

}  // namespace intaglio::vulkan
