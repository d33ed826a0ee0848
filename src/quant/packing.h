// Several small integers in a byte, as kernels read them. Test: packing_test.cpp.
#pragma once

#include <cstdint>

#include <intaglio/tensor.h>

namespace intaglio::quant {

// Which of a byte's bits its first integer has.
enum class First : uint8_t { low_bits, high_bits };

// `integers` is int8 with values of `bits` (2 or 4) bits, signed; 8 / bits neighbours of a row share a byte, each moved up so that
// the lowest is 0. The result is uint8 with a last dimension shorter by that factor, which divides it (bug error otherwise).
// Computed whenever it is read where the integers are. A bad-input error for an integer of more bits.
Tensor packed(const Tensor& integers, int bits, First first);

}  // namespace intaglio::quant
