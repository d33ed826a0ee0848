// Options as the delegate's compile specs.
#pragma once

#include <vector>

#include <intaglio/vulkan.h>

namespace intaglio::vulkan {

std::vector<CompileSpec> compile_specs(const VulkanPartitionerOptions& options);

}  // namespace intaglio::vulkan
