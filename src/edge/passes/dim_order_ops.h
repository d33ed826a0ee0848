// Casts and copies in the form that the runtime has kernels for: `dim_order_ops`, with the dim order written out.
//
// Needs: every tensor contiguous (make_contiguous). Guarantees: no `_to_copy`, `clone` or `empty` is left. Shown by
// dim_order_ops.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void dim_order_ops(ExportedProgram& program);

}  // namespace intaglio::edge
