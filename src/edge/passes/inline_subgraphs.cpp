#include "edge/passes/passes.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/decompose.h"
#include "decompose/regions.h"
#include "edge/branches.h"

namespace intaglio::edge {

void inline_subgraphs(ExportedProgram& program) {
  decompose::inline_regions(program);
  for (const Node* node : program.graph().node_list()) {
    // Branches and loop bodies stay sub-graphs: lowering takes them as it takes methods.
    if (node->op().name_space() != "higher_order" || is_control_flow(*node) || decompose::has_decomposition(node->op())) continue;
    throw_unsupported(fmt::format("{}: of control flow only cond, map, scan and while_loop can be lowered; write the model without it",
                                  decompose::describe_region(*node)));
  }
}

}  // namespace intaglio::edge
