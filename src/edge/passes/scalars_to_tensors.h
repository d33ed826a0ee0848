// A Python number where an op takes a tensor becomes a 0-d constant of the type that the op computes in.
//
// Needs: metadata. Guarantees: every argument that a schema calls a tensor is one; equal constants are one constant; no
// cast of a constant is left to run time (`x + 2` needs none, unlike in the stock flow). Symbolic numbers become
// `scalar_tensor`. Shown by scalars_to_tensors.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void scalars_to_tensors(ExportedProgram& program);

}  // namespace intaglio::edge
