// A program's values as an ExecuTorch flatbuffer, without the extended header.
#pragma once

#include <cstddef>
#include <vector>

#include <intaglio/blob.h>

#include "pte/program.h"

namespace intaglio::pte {

// `payloads` are those of delegates that are not in segments, by their indices. Unsupported error above 2 GiB or above the
// number of tables the runtime's verification accepts.
std::vector<std::byte> build_flatbuffer(const Program& program, const std::vector<Blob>& payloads = {});

}  // namespace intaglio::pte
