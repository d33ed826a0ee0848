// Ops without a kernel of our own, run on the ExecuTorch SDK's portable kernels.
#pragma once

#include "interpreter/kernel_table.h"

namespace intaglio::interp {

// Null when the registry has no out-variant that serves the node's op.
const Kernel* registry_kernel(const Node& node);

}  // namespace intaglio::interp
