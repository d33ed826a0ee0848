// A partition's program to the ML program that the delegate holds.
#pragma once

#include <functional>
#include <string_view>

#include <intaglio/coreml.h>

#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

// `observe`, when given, is called after each named rewrite, for golden tests.
Program lower_partition(ExportedProgram& partition, const CoreMLPartitionerOptions& options,
                        const std::function<void(std::string_view step, const ExportedProgram&)>& observe = {});

}  // namespace intaglio::coreml
