// Rows written into a mutated buffer are written where it lies: the cache of a language model is neither copied to get a new row, nor
// copied back.
//
// Needs: mutation outputs that are still in the signature. Guarantees: an `aten.index_put` whose result is the new value of the buffer
// that it alone reads is in place, where the kernel takes its types and form. Shown by write_in_place.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void write_in_place(ExportedProgram& program);

}  // namespace intaglio::edge
