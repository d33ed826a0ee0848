// Ops on constants only are computed once, now.
//
// Needs: metadata, a functional graph. Guarantees: what is computed stays within bounds: a result is at most 64 KiB, or
// no larger than the constants that it alone uses and so replaces. Quantized weights stay integers: nothing is
// dequantized. Ops without a kernel in the interpreter stay. Shown by passes_test.cpp.
#pragma once

#include <intaglio/program.h>

namespace intaglio {

void fold_constants(ExportedProgram& program);

}  // namespace intaglio
