// A program's values as an ExecuTorch flatbuffer, without the extended header.
#pragma once

#include <cstddef>
#include <vector>

#include "pte/program.h"

namespace intaglio::pte {

// Unsupported error above 2 GiB or above the number of tables the runtime's verification accepts.
std::vector<std::byte> build_flatbuffer(const Program& program);

}  // namespace intaglio::pte
