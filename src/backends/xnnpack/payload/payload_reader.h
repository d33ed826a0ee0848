// Bytes of a payload to its graph, for `inspect` and tests.
#pragma once

#include <cstddef>
#include <span>

#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

// The bytes may be damaged: anything that is not a well-formed payload is a bad-input error. Constants carry their key
// and no data, or (constants inside the payload) neither.
PayloadGraph read_payload(std::span<const std::byte> payload);

}  // namespace intaglio::xnnpack
