// Quantizing what is too large to be copied at once.
#pragma once

#include <intaglio/quantization.h>

namespace intaglio::quant {

// Rows [first, first + count) of parameters that lie along axis 0, or serve all.
QuantParams rows_of(const QuantParams& params, int64_t first, int64_t count);

// The integers of floats that are read once, in parts where the parameters allow it.
Tensor quantized_in_parts(const Tensor& floats, const QuantParams& params);

}  // namespace intaglio::quant
