// Kernels that compute on row-major tensors only. Shown by dim_order_legalization.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

// A `_to_dim_order_copy` to row-major order goes in front of `_adaptive_avg_pool2d`, `avg_pool2d`, `expand_copy`,
// `mean.dim` and `sum.dim_IntList` where their argument is laid out otherwise. Results of these ops, and of what
// follows them, become row-major: kernels want one order for all their tensors.
void legalize_dim_order(Graph& graph);

}  // namespace intaglio::edge
