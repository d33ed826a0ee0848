#include "edge/passes/fold_quantization.h"

#include <string>

#include "decompose/rewrite.h"

namespace intaglio {
namespace {

bool same_parameters(const Node& quantize, const Node& dequantize) {
  if (quantize.op().overload() != dequantize.op().overload()) return false;
  for (const ArgSchema& formal : quantize.op().schema()->arguments)
    if (formal.name != "input" && to_string(quantize.argument(formal.name)) != to_string(dequantize.argument(formal.name))) return false;
  return true;
}

bool starts_with(const Node& node, std::string_view prefix) {
  return node.op().name_space() == "quantized_decomposed" && node.op().schema() && node.op().base().starts_with(prefix);
}

}  // namespace

void fold_quantization(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!starts_with(*node, "quantize_per")) continue;
    const Node* before = node->tensor("input")->producer();
    if (!before || !starts_with(*before, "dequantize_per")) continue;
    if (node->op().base() != before->op().base().substr(2) || !same_parameters(*node, *before)) continue;
    graph.replace_all_uses(node->output(), before->tensor("input"));
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio
