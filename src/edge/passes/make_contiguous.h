// Every tensor inside the program is row-major: kernels want operands of one dim order, and layout says nothing of values.
//
// Needs: a functional graph. Guarantees: results and constants are contiguous (constants of other strides are rewritten);
// user inputs keep the dim order that the export saw and, where that is not row-major, are copied once at the start.
// Shown by passes_test.cpp.
#pragma once

#include <intaglio/program.h>

namespace intaglio {

void make_contiguous(ExportedProgram& program);

}  // namespace intaglio
