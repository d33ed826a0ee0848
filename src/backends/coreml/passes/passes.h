// Rewrites of a program before it is partitioned.
#pragma once

#include <intaglio/program.h>

namespace intaglio::coreml {

// Weights looked up in tables read their codes as they are stored, in a byte each, without the cast that torchao writes between.
// Shown by read_codes_directly.test.
void read_codes_directly(ExportedProgram& program);

}  // namespace intaglio::coreml
