// Graph to bytes.
#pragma once

#include <cstddef>
#include <vector>

#include <intaglio/partitioner.h>

#include "backends/vulkan/payload/vk_graph.h"

namespace intaglio::vulkan {

// Expects a graph that `check_graph` accepts.
std::vector<std::byte> write_payload(const VkGraph& graph);

// The constants' bytes, one for each distinct key, in order of first use.
std::vector<NamedData> named_data(const VkGraph& graph);

}  // namespace intaglio::vulkan
