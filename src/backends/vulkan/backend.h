// The row of the registry.
#pragma once

#include <intaglio/backend.h>

namespace intaglio::vulkan {

Backend backend();

}  // namespace intaglio::vulkan
