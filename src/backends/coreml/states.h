// Buffers that a delegate keeps as its model's state.
#pragma once

#include <intaglio/partitioner.h>

namespace intaglio::coreml {

// The float buffers that the partition's nodes alone read and give their new values become its own.
void own_states(const ExportedProgram& program, Partition& partition);

}  // namespace intaglio::coreml
