#include "backends/coreml/passes/passes.h"

#include "backends/coreml/quantized_forms.h"

namespace intaglio::coreml {

void read_codes_directly(ExportedProgram& program) {
  Graph& graph = program.graph();
  bool is_changed = false;
  for (Node* node : graph.node_list()) {
    if (!node->is("quant.dequantize_codebook.default")) continue;
    Value* codes = stored_codes(program, *node);
    if (!codes || codes == node->tensor("codes")) continue;
    graph.set_argument(*node, "codes", codes);
    is_changed = true;
  }
  if (is_changed) graph.eliminate_dead_code();
}

}  // namespace intaglio::coreml
