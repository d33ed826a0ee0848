// Ops without any kernel, computed from the ops that lowering writes in their place.
#pragma once

#include "interpreter/kernel_table.h"

namespace intaglio::interp {

// Null when the node's op has no decomposition.
const Kernel* expansion_kernel(const Node& node);
// The same for a kernel that does not know a form of its op.
void run_expanded(Call& call);
// The same for types that a kernel does not take: by decomposition, else on the runtime's kernel. Not when something is fused
// behind the op.
void run_elsewhere(Call& call);

}  // namespace intaglio::interp
