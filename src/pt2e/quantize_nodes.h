// Insertions become quantize and dequantize nodes.
//
// A tensor that several annotated nodes read gets one quantize node and one dequantize node for each of them, so that each
// dequantize has one user and belongs to that user's partition. Clones stand in reverse order of their users, as torchao
// leaves them. The nodes carry the stack trace and module of the producer (quantize) or the consumer (dequantize).
//
// Tests: convert_test.cpp.
#pragma once

#include "pt2e/prepared.h"

namespace intaglio::pt2e {

void insert_quantize_nodes(PreparedProgram::State& state);

}  // namespace intaglio::pt2e
