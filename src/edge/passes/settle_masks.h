// Mask and index arithmetic whose answer does not depend on the input, or is the input itself: `and` with true, `or` with false,
// a choice that is always the same, minus infinity looked for where it never is, all places in their order, places in a table of
// one number, times a mask that is true. Exporters write it around every attention mask.
//
// Needs: metadata, scalars as tensors. Guarantees: values stay; what is left of the operands goes to fold_constants. Shown by
// settle_masks.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void settle_masks(ExportedProgram& program);

}  // namespace intaglio::edge
