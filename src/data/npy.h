// NumPy's `.npy` format.
//
//   1. magic    6 bytes  \x93NUMPY
//   2. version  2 bytes  1.0, 2.0 or 3.0
//   3. length   u16 (1.0) or u32, little endian
//   4. header   a Python dict literal with exactly the keys descr, fortran_order, shape; then blanks and a newline
//   5. data     elements, row-major or (fortran_order) column-major, to the end of the file
#pragma once

#include <span>
#include <string>

#include <intaglio/tensor.h>

namespace intaglio::data {

struct NpyHeader {
  DType dtype = DType::float32;
  bool big_endian = false;
  bool fortran_order = false;
  Sizes sizes;
  size_t data_offset = 0;
};

// Bad-input errors without a file name; callers add it.
NpyHeader parse_npy_header(std::span<const std::byte> bytes);
Tensor read_npy(std::span<const std::byte> bytes);
// Header (padded to 64 bytes) of a row-major array.
std::string make_npy_header(DType dtype, std::span<const int64_t> sizes);

}  // namespace intaglio::data
