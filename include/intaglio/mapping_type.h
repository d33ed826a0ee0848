// How a range becomes a scale, by torchao's names.
#pragma once

#include <cstdint>

namespace intaglio {

// symmetric: the larger side fills half of the integers' width, so that positive values may clip by half a step.
// symmetric_no_clipping_err: the side that needs the larger scale decides. Both have zero point 0.
enum class MappingType : uint8_t { symmetric, symmetric_no_clipping_err, asymmetric };

}  // namespace intaglio
