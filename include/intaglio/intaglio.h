// Everything a user of the library needs.
#pragma once

#include <intaglio/backend.h>
#include <intaglio/blob.h>
#include <intaglio/check.h>
#include <intaglio/coreml.h>
#include <intaglio/coreml_quantizer.h>
#include <intaglio/data.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/exynos.h>
#include <intaglio/interpreter.h>
#include <intaglio/language_model.h>
#include <intaglio/partitioner.h>
#include <intaglio/pattern_quantizer.h>
#include <intaglio/program.h>
#include <intaglio/pt2.h>
#include <intaglio/pt2e.h>
#include <intaglio/quantize_api.h>
#include <intaglio/quantizer.h>
#include <intaglio/recipes.h>
#include <intaglio/settings.h>
#include <intaglio/vulkan.h>
#include <intaglio/vulkan_quantizer.h>
#include <intaglio/warning.h>
#include <intaglio/weights.h>
#include <intaglio/xnnpack.h>

#pragma GCC visibility push(default)

namespace intaglio {

// "0.1.0"
const char* version();

}  // namespace intaglio

#pragma GCC visibility pop
