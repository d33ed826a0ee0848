// Scales of weights, looked at once more when all of a layer is known: int32 holds a layer's bias and sums, or the scales of its
// weights are raised until it does. Test: keep_sums_in_int32_test.cpp.
#pragma once

#include "pt2e/prepared.h"

namespace intaglio::pt2e {

// Decides raised scales for groups of weights; takes the weights of layers that no scale helps out of the insertions (and their
// inputs, where those are quantized at run time), so that they stay in float. A warning names each such layer.
void keep_sums_in_int32(PreparedProgram::State& state);

}  // namespace intaglio::pt2e
