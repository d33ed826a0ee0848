// A rewrite before partitioning: `view(x, [s0, 1280])` becomes `view(x, [-1, 1280])`, since a size computed at run time cannot
// enter a delegate, but one size can be inferred.
#pragma once

#include <intaglio/program.h>

namespace intaglio::common {

void infer_symbolic_view_sizes(ExportedProgram& program);

}  // namespace intaglio::common
