// Equal ops on equal operands are computed once.
//
// Needs: a functional graph. Guarantees: no two `aten` nodes with the same op and arguments are left, random ones and
// program outputs excepted; small constants of the same elements are one. Quantization ops are not merged: patterns want their own pair at
// each use. Shown by merge_duplicates.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void merge_duplicates(ExportedProgram& program);

}  // namespace intaglio::edge
