// Bytes of a payload to its graph, for `inspect`, for the check before a file is written, and for tests.
#pragma once

#include <cstddef>
#include <span>

#include "backends/vulkan/payload/vk_graph.h"

namespace intaglio::vulkan {

// The bytes may be damaged: anything that is not a well-formed payload is a bad-input error. Every reference in the result is in
// range, lists hold no lists, and constants carry their key and no data.
VkGraph read_payload(std::span<const std::byte> payload);

// What the runtime checks before it trusts the bytes: the header and the flatbuffer. A bad-input error otherwise.
void check_payload(std::span<const std::byte> payload);

}  // namespace intaglio::vulkan
