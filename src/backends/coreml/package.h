// The `.mlpackage` that a payload holds.
#pragma once

#include <span>
#include <vector>

#include "backends/coreml/payload/file_system.h"

namespace intaglio::coreml {

// Its files by path; they lie in the payload.
std::vector<StoredFile> package_in(std::span<const std::byte> payload);

}  // namespace intaglio::coreml
