// PyTorch's arithmetic on 16-bit floats: computed in float32, rounded to the type after each operation.
#pragma once

#include <intaglio/dtype.h>

namespace intaglio::quant {

inline float rounded_to(DType dtype, float value) {
  if (dtype == DType::float16) return half_to_float(float_to_half(value));
  if (dtype == DType::bfloat16) return bfloat16_to_float(float_to_bfloat16(value));
  return value;
}

}  // namespace intaglio::quant
