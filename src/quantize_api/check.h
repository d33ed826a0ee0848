// For who reads configurations and can say where they stand. Test: quantize_api_test.cpp.
#pragma once

#include <intaglio/quantize_api.h>

namespace intaglio::quantize_api {

// Usage errors for settings that no layer could take.
void check(const QuantizeConfig& config);

}  // namespace intaglio::quantize_api
