// A partition's program to the graph that the runtime executes.
#pragma once

#include <intaglio/program.h>
#include <intaglio/vulkan.h>

#include "backends/common/rewrites.h"
#include "backends/vulkan/payload/vk_graph.h"

namespace intaglio::vulkan {

// `observe`, when given, is called after each named rewrite, for golden tests.
VkGraph lower_partition(ExportedProgram& partition, const VulkanPartitionerOptions& options, const common::RewriteObserver& observe = {});

}  // namespace intaglio::vulkan
