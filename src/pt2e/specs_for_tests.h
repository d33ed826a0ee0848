// Specifications that tests annotate with.
#pragma once

#include <intaglio/quantizer.h>

namespace intaglio::test {

inline QuantizationSpec int8_spec(int64_t quant_min = -128, ObserverFactory observer = min_max_observer()) {
  QuantizationSpec spec;
  spec.quant_min = quant_min;
  spec.quant_max = 127;
  spec.qscheme = QScheme::per_tensor_affine;
  spec.observer = std::move(observer);
  return spec;
}

// The smallest scale is 2^-12.
inline QuantizationSpec narrow_steps_spec() { return int8_spec(-128, min_max_observer(0.000244140625)); }

}  // namespace intaglio::test
