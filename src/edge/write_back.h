// Mutated buffers and inputs get their new values at the end of the program.
#pragma once

#include <intaglio/program.h>

namespace intaglio {

// For each mutation output, in the order of the signature, appends `aten.copy_(input, new value)`; outputs that are
// buffer mutations leave the signature. A new value that is itself a mutated input (buffers that change places), or a
// user output that is an old value, is cloned first: the copies must not overwrite what is still to be read.
void insert_write_back(ExportedProgram& program);

}  // namespace intaglio
