// Mutated buffers and inputs get their new values at the end of the program. Shown by write_back.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

// For each mutation output, in the order of the signature, appends `aten.copy_(input, new value)`; what is left of the
// outputs are the user's. A new value that is itself a mutated input (buffers that change places), or a user output
// that is an old value, is cloned first: the copies must not overwrite what is still to be read. Mutated user inputs
// are written only where they are the caller's memory (`inputs_are_shared`): a copy inside the program nobody would
// see.
void insert_write_back(ExportedProgram& program, bool inputs_are_shared);

}  // namespace intaglio::edge
