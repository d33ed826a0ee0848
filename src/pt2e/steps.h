// Steps of prepare and convert over what is prepared. Each stands in a file of its name.
#pragma once

#include "pt2e/prepared.h"

namespace intaglio::pt2e {

// What a configuration names, held against what was annotated. Test: requests_test.cpp.
//
// Warns of names that nothing in the program has, and of layers that were named and stay in float: all of a name's where none
// of its operators is annotated, else those that do the work (Work::is_macs). What reads constants only is computed ahead.
void warn_of_requests(const PreparedProgram::State& state);

// Scales of weights, looked at once more when all of a layer is known: int32 holds a layer's bias and sums, or the scales of its
// weights are raised until it does. Test: keep_sums_in_int32_test.cpp.
//
// Decides raised scales for groups of weights; takes the weights of layers that no scale helps out of the insertions (and their
// inputs, where those are quantized at run time), so that they stay in float. A warning names each such layer.
void keep_sums_in_int32(PreparedProgram::State& state);

// Insertions become quantize and dequantize nodes.
//
// A tensor that several annotated nodes read gets one quantize node and one dequantize node for each of them, so that each
// dequantize has one user and belongs to that user's partition. Clones stand in reverse order of their users, as torchao
// leaves them. The nodes carry the stack trace and module of the producer (quantize) or the consumer (dequantize).
//
// Tests: convert_test.cpp.
void insert_quantize_nodes(PreparedProgram::State& state);

}  // namespace intaglio::pt2e
