// Takes out checks that the exporter left in the graph: they say what is already in the metadata.
//
// Needs: nothing. Guarantees: no `_assert_*` and no `sym_constrain_range*` node is left. Shown by erase_asserts.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void erase_asserts(ExportedProgram& program);

}  // namespace intaglio::edge
