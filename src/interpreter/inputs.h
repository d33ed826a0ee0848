// User inputs against what the program was exported for.
#pragma once

#include <vector>

#include <intaglio/program.h>

namespace intaglio::interp {

// Count, element types, ranks, sizes and the ranges of symbolic sizes; a bad-input error names the input.
void check_inputs(const ExportedProgram& program, const std::vector<Value*>& inputs, const std::vector<Tensor>& tensors);

}  // namespace intaglio::interp
