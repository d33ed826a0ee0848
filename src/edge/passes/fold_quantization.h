// A dequantize that is quantized again with the same parameters is the integer tensor it came from.
//
// Needs: no-ops between the two already removed. Guarantees: no such pair is left. Shown by fold_quantization.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void fold_quantization(ExportedProgram& program);

}  // namespace intaglio::edge
