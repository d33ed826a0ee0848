// Inputs for a program of which no sample is at hand.
#pragma once

#include <vector>

#include <intaglio/program.h>

namespace intaglio::recipes {

// One tensor for each user input, the same at every call, at the sizes the program was exported with: floats of a normal
// distribution, integers that index a table within it and 0 or 1 elsewhere, booleans mostly true. Unsupported error where
// nothing can be drawn, for example where a size has no known value.
std::vector<Tensor> random_inputs(const ExportedProgram& program);

}  // namespace intaglio::recipes
