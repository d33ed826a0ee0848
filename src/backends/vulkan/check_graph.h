// The pre-flight: does the runtime accept this graph?
#pragma once

#include "backends/vulkan/payload/vk_graph.h"

namespace intaglio::vulkan {

// What would end the process on the device, checked before bytes are made. The partitioner refuses what breaks it, so a
// violation is a bug error that names the layer.
void check_graph(const VkGraph& graph);

}  // namespace intaglio::vulkan
