// Operators whose kernels in the runtime add numbers of half precision up in half precision, where a sum of bfloat16 ends at 256
// times its summands: they compute in float32, between casts, as PyTorch does inside. Numbers are read out of float32 tensors: that kernel
// has no half precision.
//
// Needs: metadata; run after scalars_to_tensors. Types that a delegate takes and sums as it should are left alone.
// Shown by sum_in_float32.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void sum_in_float32(ExportedProgram& program);

}  // namespace intaglio::edge
