// Ops on constants only are computed once, now.
//
// Needs: metadata, a functional graph. Guarantees: what is computed stays within bounds: a result is at most 64 KiB or a
// part in 32 of all constants, or no larger than the constants that it alone uses and so replaces, and all together add at
// most a quarter. Quantized weights stay integers: they are dequantized only on the way to an op all of whose operands are constants. Ops
// without a kernel in the interpreter stay. Shown by fold_constants.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void fold_constants(ExportedProgram& program);

}  // namespace intaglio::edge
