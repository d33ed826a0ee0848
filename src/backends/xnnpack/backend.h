// The row of the registry.
#pragma once

#include <intaglio/backend.h>

namespace intaglio::xnnpack {

Backend backend();

}  // namespace intaglio::xnnpack
