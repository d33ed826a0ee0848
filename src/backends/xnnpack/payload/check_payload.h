// The pre-flight: does the runtime accept this graph?
#pragma once

#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

// Every limit of the runtime that a payload could break, checked before bytes are made. The partitioner refuses what
// breaks them, so a violation is a bug error that names the layer.
void check_payload(const PayloadGraph& graph);

}  // namespace intaglio::xnnpack
