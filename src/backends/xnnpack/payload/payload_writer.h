// Payload graph to bytes.
#pragma once

#include <cstddef>
#include <vector>

#include <intaglio/partitioner.h>

#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

struct WrittenPayload {
  std::vector<std::byte> bytes;
  std::vector<NamedData> named_data;  // one for each distinct constant, in order of first use; keys are SHA-256
};

// Expects a graph that `check_payload` accepts. `constants_inside`: the lasting constants stand in the payload itself.
WrittenPayload write_payload(const PayloadGraph& graph, bool constants_inside = false);

}  // namespace intaglio::xnnpack
