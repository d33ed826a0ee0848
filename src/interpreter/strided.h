// Walking several tensors of one broadcast shape together, and element blocks in a compute type.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <intaglio/tensor.h>

namespace intaglio::interp {

// The shape all of them broadcast to; nullopt when they do not.
std::optional<Sizes> broadcast_shape(std::span<const Sizes* const> shapes);
// Strides of `tensor` when read as `shape` (0 where it repeats). It must broadcast.
Sizes broadcast_strides(const Tensor& tensor, const Sizes& shape);
// Dense strides for a result of `shape`: those of the first operand that has this shape and is dense, else row-major.
Sizes result_strides(const Sizes& shape, std::span<const Tensor* const> operands);

// Channels last (NWC, NHWC, NDHWC) strides of a logical N, C, ... shape.
Sizes channels_last_strides(const Sizes& sizes);
bool is_channels_last(const Tensor& tensor);  // any rank >= 3

// Rows of one inner dimension, ordered by the strides of operand 0, with neighbouring dimensions merged where every
// operand allows it.
struct RowLoop {
  Sizes outer;                 // sizes of the outer dimensions
  std::vector<Sizes> strides;  // [operand][outer dimension]
  int64_t length = 1;          // of a row
  Sizes steps;                 // [operand], stride inside a row
  int64_t rows = 1;
  int64_t operands() const { return static_cast<int64_t>(steps.size()); }
};
RowLoop make_row_loop(const Sizes& shape, const std::vector<Sizes>& strides);

// Calls body(offsets, steps, count) for pieces of rows of at most `block` elements. Pieces are spread over threads.
using RowBody = std::function<void(const int64_t* offsets, const int64_t* steps, int64_t count)>;
void for_blocks(const RowLoop& loop, int64_t block, int threads, const RowBody& body);

// `count` elements as T (float, double or int64_t) from / to a tensor's memory. Unsupported for complex, float8, uint64.
template <typename T>
void load_block(DType dtype, const std::byte* base, int64_t offset, int64_t step, int64_t count, T* out);
template <typename T>
void store_block(DType dtype, std::byte* base, int64_t offset, int64_t step, int64_t count, const T* in);

// destination <- source, broadcast and converted as `copy_` does; the destination's memory is written through.
void copy_into(const Tensor& destination, const Tensor& source, int threads = 1);

}  // namespace intaglio::interp
