// A converted program as the check of a file runs it: once or twice, and never with all its weights in memory.
#pragma once

#include <optional>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::recipes {

// The same program with its integer weights as the floats that they stand for, made whenever they are read. A large linear
// layer becomes several, one after the other, so that the floats of no more than one part exist at a time.
ExportedProgram reference_of(const ExportedProgram& program);

// Outputs of one run on the interpreter.
std::vector<Tensor> run_reference(const ExportedProgram& reference, const std::vector<Tensor>& inputs, int threads);

// The same with every quantized value one step off, up or down as `seed` draws, and every float result of a layer, and each
// one of a type of 16 bits, off by what kernels round differently. What that does to the outputs is how far apart two right
// ways of computing the program can be.
std::vector<Tensor> run_one_step_off(const ExportedProgram& reference, const std::vector<Tensor>& inputs, uint64_t seed, int threads);

}  // namespace intaglio::recipes
