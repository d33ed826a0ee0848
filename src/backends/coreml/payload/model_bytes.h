// An ML program to the two files of a Core ML model, and back.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

struct ModelFiles {
  std::vector<std::byte> model;  // model.mlmodel
  Blob weights;                  // weight.bin; empty where no constant is outside the model
};
// Equal programs give equal bytes.
ModelFiles write_model(const Program& program);

// The bytes may be damaged: bad input for anything that is no ML program, for a name that nothing made, for a constant whose bytes
// are not those of its type. `weights` outlives the result, whose constants stay there.
Program read_model(std::span<const std::byte> model, std::span<const std::byte> weights);

}  // namespace intaglio::coreml
