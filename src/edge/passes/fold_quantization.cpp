#include "edge/passes/passes.h"

#include "decompose/rewrite.h"
#include "qdq/op_table.h"

namespace intaglio::edge {
namespace {

bool same_parameters(const Node& quantize, const Node& dequantize) {
  const qdq::OpRow &by = *qdq::find(quantize), &of = *qdq::find(dequantize);
  if (by.granularity != of.granularity || by.places.dtype != of.places.dtype || quantize.op().overload() != dequantize.op().overload())
    return false;
  for (const ArgSchema& formal : quantize.op().schema()->arguments)
    if (formal.name != "input" && to_string(quantize.argument(formal.name)) != to_string(dequantize.argument(formal.name))) return false;
  return true;
}

}  // namespace

void fold_quantization(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!qdq::is_quantize(*node)) continue;
    const Node* before = node->tensor("input")->producer();
    if (!before || !qdq::is_dequantize(*before) || !same_parameters(*node, *before)) continue;
    graph.replace_all_uses(node->output(), before->tensor("input"));
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::edge
