// Values that are other names of the same memory.
#pragma once

#include <intaglio/graph.h>

namespace intaglio {

// The operand whose memory the results of a view or an in-place operator are; null for others.
const Value* memory_operand(const Node& node);

}  // namespace intaglio
