// Puts the bodies of `wrap_with_set_grad_enabled` and of switched-off `wrap_with_autocast` in their place.
//
// Needs: nothing. Guarantees: no such wrapper is left; results keep their names. Branches of `cond` stay; other control
// flow, and autocast that is on, is refused. Shown by inline_subgraphs.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio {

void inline_subgraphs(ExportedProgram& program);

}  // namespace intaglio
