// Programs in float16 or bfloat16, for quantizers whose integer kernels stand beside float32 alone.
#pragma once

#include <vector>

#include <intaglio/program.h>

namespace intaglio::pt2e {

// Every tensor of one of the `types` becomes float32: weights, buffers, what is computed, types that arguments state, sub-graphs
// too. Inputs and outputs of the program keep theirs, with a cast behind or before them; tables of embeddings keep theirs too,
// since they would only grow. Casts that are none any more go. False when the program has no such tensor.
// An unsupported error, before anything is changed, names a node that reads such a tensor's bits, or an input that is written in place.
bool compute_in_float32(ExportedProgram& program, const std::vector<DType>& types);

// True for operators that make another type of their operand.
bool is_cast(const Node& node);

}  // namespace intaglio::pt2e
