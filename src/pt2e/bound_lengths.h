// How long a result is that depends on the values of a tensor (repeats by counts, the places of a mask), where that tensor is a
// constant: its symbol gets this one value as its range, and layers behind it have sizes with an upper bound.
//
// Needs: nothing. Guarantees: nothing else changes. Shown by bound_lengths.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::pt2e {

void bound_lengths(ExportedProgram& program);

}  // namespace intaglio::pt2e
