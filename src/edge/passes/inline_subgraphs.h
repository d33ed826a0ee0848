// Puts the bodies of regions in their place (decompose/regions.h) and refuses the sub-graphs that nothing can lower.
//
// Needs: nothing. Guarantees: branches of `cond` are the only sub-graphs left; other control flow
// is refused. Shown by inline_subgraphs.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void inline_subgraphs(ExportedProgram& program);

}  // namespace intaglio::edge
