// A product with a transposed matrix is a linear layer again: `addmm(b, x, permute(w))` is what the exporter's own
// decomposition left of it, and the linear kernel and delegates are many times faster.
//
// Needs: metadata. Guarantees: no mm or addmm whose second operand is a plain transpose of a 2-d tensor is left, where
// the type has a linear kernel and the bias is one row. Shown by restore_linear.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void restore_linear(ExportedProgram& program);

}  // namespace intaglio::edge
