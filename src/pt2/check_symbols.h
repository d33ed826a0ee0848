// Whether the sizes that a file states agree with each other.
#pragma once

#include <intaglio/program.h>

namespace intaglio::pt2 {

// Of every symbolic size: one value of a symbol in the exported call, within its range, and expressions that give the values that are
// stated beside them. Memory is planned by these expressions. A bad-input error names the value.
void check_symbols(const ExportedProgram& program);

}  // namespace intaglio::pt2
