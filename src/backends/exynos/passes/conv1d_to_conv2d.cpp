#include <algorithm>

#include "backends/exynos/passes/passes.h"
#include "decompose/builder.h"
#include "ir/infer.h"
#include "qdq/op_table.h"

namespace intaglio::exynos {
namespace {

// The dimension goes in front of quantize and dequantize nodes, which then serve the larger tensor.
Value* with_dimension(decompose::GraphBuilder& b, Node& position, Value* value) {
  Node* maker = value->producer();
  const bool is_qdq = maker != nullptr && (qdq::is_tensor_or_channel_quantize(*maker) || qdq::is_tensor_or_channel_dequantize(*maker));
  if (!is_qdq) return b("aten.unsqueeze_copy.default", value, int64_t{-1});
  std::vector<NamedArgument> arguments = maker->arguments();
  arguments.front().value = with_dimension(b, position, maker->tensor("input"));
  Node& node = b.graph().insert_before(&position, maker->op(), std::move(arguments), {{.meta = value->meta(), .name = value->name()}});
  refresh_metadata(node);
  return node.output();
}

void extend(Graph& graph, Node& node, const char* argument, int64_t value) {
  std::vector<int64_t> list = node.integers(argument);
  list.push_back(value);
  graph.set_argument(node, argument, std::move(list));
}

void extend(ExportedProgram& program, Node& node) {
  Graph& graph = program.graph();
  decompose::GraphBuilder before(program, node);
  graph.set_argument(node, "input", before("aten.unsqueeze_copy.default", node.tensor("input"), int64_t{-1}));
  graph.set_argument(node, "weight", with_dimension(before, node, node.tensor("weight")));
  extend(graph, node, "stride", 1);
  extend(graph, node, "padding", 0);
  extend(graph, node, "dilation", 1);
  extend(graph, node, "output_padding", 0);
  refresh_metadata(node);
  decompose::GraphBuilder behind(program, graph.next(&node), node);
  Value* squeezed = behind("aten.squeeze_copy.dims", node.output(), std::vector<int64_t>{-1});
  graph.replace_uses_if(node.output(), squeezed, [&](const Node& user) { return &user != squeezed->producer(); });
}

}  // namespace

void conv1d_to_conv2d(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (node->is("aten.convolution.default") && node->tensor("weight")->meta().rank() == 3) extend(program, *node);
  program.graph().eliminate_dead_code();
}

}  // namespace intaglio::exynos
