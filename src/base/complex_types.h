// The types of complex numbers and of their parts.
#pragma once

#include <intaglio/dtype.h>

namespace intaglio {

// Other types as they are.
constexpr DType real_type_of(DType dtype) {
  switch (dtype) {
    case DType::complex32: return DType::float16;
    case DType::complex64: return DType::float32;
    case DType::complex128: return DType::float64;
    default: return dtype;
  }
}
constexpr DType complex_type_of(DType dtype) {
  switch (dtype) {
    case DType::float16: return DType::complex32;
    case DType::float32: return DType::complex64;
    case DType::float64: return DType::complex128;
    default: return dtype;
  }
}

}  // namespace intaglio
