// Quantization by blocks, with scales and zero points in tensors: torchao's affine ops and PyTorch's per token and per group.
// Numerics are theirs, bit for bit: every operation is rounded to the type that PyTorch's promotion gives it. Test: blocks_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <intaglio/mapping_type.h>

#include "quant/affine.h"

namespace intaglio::quant {

// The grid of blocks in a tensor. Block sizes may be `whole_dimension`, and dimensions behind the last entry are whole.
class Blocks {
 public:
  // Bad-input errors for a size that does not divide, or more sizes than dimensions.
  Blocks(const Sizes& sizes, std::span<const int64_t> block_size);

  size_t count() const { return static_cast<size_t>(count_); }
  const Sizes& block() const { return block_; }

  // Elements in row-major order, in runs that lie in one block: `run(first element, elements, block)`. Those of the elements
  // from `begin` to `end`, which lie between two runs.
  template <typename Run>
  void for_each_run(size_t begin, size_t end, const Run& run) const {
    for (size_t first = begin; first < end; first += run_length()) run(first, run_length(), block_of(first));
  }
  template <typename Run>
  void for_each_run(const Run& run) const {
    for_each_run(0, static_cast<size_t>(element_count(sizes_)), run);
  }
  size_t run_length() const { return block_.empty() ? 1 : static_cast<size_t>(block_.back()); }

 private:
  size_t block_of(size_t element) const;
  Sizes sizes_, block_;
  int64_t count_ = 1;
};

// Scale and zero point for values in [min, max], every operation rounded to `arithmetic`; eps is the smallest scale.
// No range error: what is not finite gives a scale that is not.
ScaleZeroPoint choose_qparams(float min, float max, MappingType mapping, QuantRange range, double eps, DType arithmetic);
// The smallest normal number of the type: torchao's smallest scale.
double smallest_normal(DType dtype);

struct ScalesAndZeroPoints {
  Tensor scale, zero_point;
};

// One block's parameters each. `eps` absent: smallest_normal of the input's type. Dimensions that a block covers are left out
// unless `keepdim` (torchao.choose_qparams_affine).
struct ChooseOptions {
  std::vector<int64_t> block_size;
  MappingType mapping = MappingType::symmetric;
  QuantRange range;
  std::optional<double> eps;
  DType scale_dtype = DType::float32;
  DType zero_point_dtype = DType::int32;
  bool keepdim = false;
};
ScalesAndZeroPoints choose_qparams_in_blocks(const Tensor& x, const ChooseOptions& options, int threads = 1);

// A range for each row of the last dimension, to [-128, 127]; float64 scales and int64 zero points with a last dimension of 1.
// asymmetric: the zero point is rounded from the side with the smaller error (choose_qparams_per_token_asymmetric).
ScalesAndZeroPoints choose_qparams_per_token(const Tensor& x, bool asymmetric);

// One scale a block, or one for all.
struct BlockParams {
  std::vector<int64_t> block_size;
  Tensor scale;
  Tensor zero_point;  // undefined: 0
  QuantRange range;
};
// Which of the two libraries' order of operations. torchao rounds before it adds the zero point and dequantizes in the promotion of the
// result's and the scale's types; PyTorch's own ops add first and dequantize in the scale's type.
enum class BlockOrder : uint8_t { torchao, decomposed };
Tensor quantize_in_blocks(const Tensor& x, const BlockParams& params, DType dtype, BlockOrder order, int threads = 1);
Tensor dequantize_in_blocks(const Tensor& q, const BlockParams& params, DType out_dtype, BlockOrder order, int threads = 1);

// `book` has 2^bits values for each block, in row-major order of the blocks.
Tensor dequantize_code_book(const Tensor& codes, const Tensor& book, int64_t bits, std::span<const int64_t> block_size, DType out_dtype);

}  // namespace intaglio::quant
