// What must hold of a lowered program before it is written.
#pragma once

#include <intaglio/edge.h>

#include "pte/kernel_table.h"

namespace intaglio::edge {

// Nodes that are no kernel calls.
bool is_delegate_call(const Node& node);
bool is_erased(const Node& node);  // asserts and range constraints: nothing to run
// True when the node is a symbol operation with a primitive of the runtime.
bool is_symbolic_op(const Node& node);

// The kernel of a node's op, or null.
const pte::RuntimeKernel* kernel_of(const Node& node);

// Every node has a kernel that takes its element types and that `runtime` has. Otherwise an unsupported error, one line
// that lists them all with layer and source line.
void check_kernels(const ExportedProgram& program, RuntimeVersion runtime = newest_runtime);

}  // namespace intaglio::edge
