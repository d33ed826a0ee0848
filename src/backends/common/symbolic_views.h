// A rewrite before partitioning: `view(x, [s0, 1280])` becomes `view(x, [-1, 1280])`, since a size computed at run time cannot
// enter a delegate, but one size can be inferred.
#pragma once

#include <intaglio/program.h>

#include "decompose/builder.h"

namespace intaglio::common {

void infer_symbolic_view_sizes(ExportedProgram& program);

// Sizes as a view takes them: a symbolic one, of which there is at most one, is inferred.
std::vector<int64_t> inferred_sizes(const SymSizes& sizes);
Value* view_copy(decompose::GraphBuilder& b, Value* value, const SymSizes& sizes);

}  // namespace intaglio::common
