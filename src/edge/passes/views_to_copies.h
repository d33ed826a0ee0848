// View ops become their `_copy` forms: in a file nothing aliases, except where memory planning decides so.
//
// Needs: a functional graph. Guarantees: no op returns a view of its operand. Shown by views_to_copies.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void views_to_copies(ExportedProgram& program);

}  // namespace intaglio::edge
