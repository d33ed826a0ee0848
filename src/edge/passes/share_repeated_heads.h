// Grouped-query attention without copies.
//
// A batched product whose right operand repeats each matrix for several neighbouring batches (key and value heads that serve
// several query heads) becomes one product per matrix, over the rows of all those batches.
//
// Needs: a functional graph of core ATen. Guarantees: the same numbers; other products are left as they are.
// Shown by share_repeated_heads.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void share_repeated_heads(ExportedProgram& program);

}  // namespace intaglio::edge
