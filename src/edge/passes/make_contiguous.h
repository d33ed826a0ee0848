// Every tensor inside the program is row-major: kernels want operands of one dim order, and layout says nothing of values.
//
// Needs: a functional graph. Guarantees: results and constants are contiguous (constants of other strides are rewritten);
// user inputs keep the dim order that the export saw and, where that is not row-major, are copied once at the start.
// Refuses as_strided of a tensor that is not contiguous: its result depends on the strides that go. To be run once.
// Shown by make_contiguous.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void make_contiguous(ExportedProgram& program);

}  // namespace intaglio::edge
