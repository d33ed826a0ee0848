// What computes an op that has no kernel here, or none for a form of it.
#pragma once

#include "interpreter/kernel_table.h"

namespace intaglio::interp {

// Ops without a kernel of our own, run on the ExecuTorch SDK's portable kernels.
//
// Null when the registry has no out-variant that serves the node's op.
const Kernel* registry_kernel(const Node& node);

// Ops without any kernel, computed from the ops that lowering writes in their place.

// Null when the node's op has no decomposition.
const Kernel* expansion_kernel(const Node& node);
// The same for a kernel that does not know a form of its op.
void run_expanded(Call& call);
// The same for types that a kernel does not take: by decomposition, else on the runtime's kernel. Not when something is fused
// behind the op.
void run_elsewhere(Call& call);

}  // namespace intaglio::interp
