#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {

void negate_masks(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (node->is("aten.logical_not.default") && node->tensor("self")->dtype() == DType::boolean)
      program.graph().set_op(*node, Op::get("aten.bitwise_not.default"));
}

}  // namespace intaglio::vulkan
