// Arithmetic on tensors of different types: operands are cast to the promoted type first, as the kernels and delegates need.
//
// Needs: metadata; run after scalars_to_tensors. Guarantees: add, sub, mul, div, minimum and maximum have operands of one
// type. Shown by promote_mixed_dtypes.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void promote_mixed_dtypes(ExportedProgram& program);

}  // namespace intaglio::edge
