// Quantized constants are stored as integers: a static quantize node whose input depends on constants alone becomes a
// buffer `_frozen_param<i>`. Dequantize nodes stay. Float originals that nothing else reads are dropped.
//
// Tests: fold_quantize.test.
#pragma once

#include <intaglio/program.h>

#include "interpreter/constant_values.h"

namespace intaglio::pt2e {

// Returns how many nodes were folded.
size_t fold_quantize(ExportedProgram& program, Creations creations = Creations::unknown);

}  // namespace intaglio::pt2e
