// Puts the bodies of `wrap_with_set_grad_enabled` and of switched-off `wrap_with_autocast` in their place.
//
// Needs: nothing. Guarantees: no such wrapper is left; results keep their names. Refuses control flow and autocast that
// is on, which cannot be inlined. Shown by passes_test.cpp.
#pragma once

#include <intaglio/program.h>

namespace intaglio {

void inline_subgraphs(ExportedProgram& program);

}  // namespace intaglio
