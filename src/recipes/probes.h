// Values from inside a program among its outputs, where they can be looked at once it is lowered.
#pragma once

#include <span>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::recipes {

// The nodes whose results can be looked at, in the order of the graph: quantized values where they stand as integers, so that layers
// stay with their quantization, and what is computed in float and read in float. What is the same in every run is none.
std::vector<const Node*> probe_points(const ExportedProgram& program);

// The program with what these points make as outputs of float type behind its own.
ExportedProgram with_probes(const ExportedProgram& program, std::span<const Node* const> points);

}  // namespace intaglio::recipes
