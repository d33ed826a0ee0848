// A complex tensor's memory as real numbers.
#pragma once

#include <utility>

#include <intaglio/tensor.h>

#include "base/complex_types.h"

namespace intaglio {

// Real and imaginary parts in a last dimension of two; shares the memory.
inline Tensor as_pairs(const Tensor& complex) {
  Sizes sizes = complex.sizes(), strides = complex.strides();
  for (int64_t& stride : strides) stride *= 2;
  sizes.push_back(2);
  strides.push_back(1);
  return Tensor(real_type_of(complex.dtype()), std::move(sizes), std::move(strides), complex.storage_offset() * 2, complex.storage());
}

}  // namespace intaglio
