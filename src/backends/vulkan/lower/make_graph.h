// A rewritten partition to the payload's graph.
#pragma once

#include "backends/vulkan/passes/passes.h"
#include "backends/vulkan/payload/vk_graph.h"

namespace intaglio::vulkan {

struct GraphOptions {
  bool force_fp16 = false;
  bool downcast_64_bit = true;
  bool plan_memory = true;
};
VkGraph make_graph(const ExportedProgram& program, const Assignments& assigned, const GraphOptions& options);

}  // namespace intaglio::vulkan
