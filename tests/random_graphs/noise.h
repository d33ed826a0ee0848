// How far rounding reaches: a program with noise on chosen values, run a few times.
//
// The bound of a comparison is not derived operator by operator. Where one engine may round another way than the other, noise
// of that size is added to the value, and the outputs' answer to it says how much of a difference the roundings explain.
#pragma once

#include <limits>
#include <map>
#include <string>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::random_graphs {

struct Noise {
  double amplitude = 0;                                 // added evenly from [-amplitude, amplitude)
  float low = -std::numeric_limits<float>::infinity();  // then limited to what the quantized type can hold
  float high = std::numeric_limits<float>::infinity();
};
// By the value's name. Constants of the program are changed in place, all other values for all their users.
using NoiseMap = std::map<std::string, Noise>;

ExportedProgram with_noise(const ExportedProgram& program, const NoiseMap& noise, uint64_t seed);

// How far two lists of outputs are apart, output by output.
struct Distance {
  double rms = 0;
  double largest = 0;
};
std::vector<Distance> distances(const std::vector<Tensor>& a, const std::vector<Tensor>& b);

// The largest distances from `outputs` that `trials` runs with noise reach.
std::vector<Distance> answer_to_noise(const ExportedProgram& program, const std::vector<Tensor>& inputs, const NoiseMap& noise,
                                      const std::vector<Tensor>& outputs, uint64_t seed, int trials = 12);

}  // namespace intaglio::random_graphs
