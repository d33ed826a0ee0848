// A partition's program to the payload graph that the runtime executes.
#pragma once

#include <functional>
#include <string_view>

#include <intaglio/program.h>

#include "backends/xnnpack/features.h"
#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

// `observe`, when given, is called after each named step, for golden tests.
PayloadGraph lower_partition(const ExportedProgram& partition, const Features& features,
                             const std::function<void(std::string_view step, const PayloadGraph&)>& observe = {});

}  // namespace intaglio::xnnpack
