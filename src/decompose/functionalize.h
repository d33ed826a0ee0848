// In-place ops become functional ones; writes to buffers and inputs become outputs of the program.
//
// Needs: training or inference IR without sub-graphs. Guarantees: no in-place op is left; whoever read a tensor, or a
// view of it, after a write reads the written value; a written buffer, parameter or input has a mutation output, placed
// before the user outputs in the order of the inputs. Shown by functionalize.test.
// Refuses writes through views that share elements in ways a scatter cannot express (expand, as_strided, ...).
#pragma once

#include <intaglio/program.h>

namespace intaglio::decompose {

void functionalize(ExportedProgram& program);

// The same for those writes to computed tensors that are read under another name (a view taken before, the tensor that was
// written through a view): quantizers part the names, each with a rounded copy of its own, and the write would be lost.
void functionalize_shared_writes(ExportedProgram& program);

}  // namespace intaglio::decompose
