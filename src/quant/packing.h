// Several small integers in a byte, as kernels read them. Test: packing_test.cpp.
#pragma once

#include <cstdint>

#include <intaglio/tensor.h>

namespace intaglio::quant {

// Which of a byte's bits its first integer has.
enum class First : uint8_t { low_bits, high_bits };

// `integers` is int8 with values of `bits` (2 or 4) bits, signed; 8 / bits neighbours of a row share a byte, each moved up so that
// the lowest is 0. The result is uint8 with a last dimension shorter by that factor, which divides it (bug error otherwise).
// Computed whenever it is read where the integers are. A bad-input error for an integer of more bits. `padded`, where it is given, are
// the sizes of the matrix to be packed: rows and columns of zeros are added behind those there are.
Tensor packed(const Tensor& integers, int bits, First first, const Sizes& padded = {});

// The same with the sums of each group of `group_size` neighbours in a row, for kernels that take a zero point of the other operand
// out of their sums: int32 [groups of a row, rows]. One computation makes both.
struct PackedGroups {
  Tensor integers, sums;
};
PackedGroups packed_with_sums(const Tensor& integers, int bits, First first, const Sizes& padded, int64_t group_size);

// A matrix with zeros behind its rows and columns, in new memory; itself where nothing is missing.
Tensor padded_matrix(const Tensor& matrix, const Sizes& sizes);

}  // namespace intaglio::quant
