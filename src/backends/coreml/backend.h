// The row of the registry.
#pragma once

#include <intaglio/backend.h>

namespace intaglio::coreml {

Backend backend();

}  // namespace intaglio::coreml
