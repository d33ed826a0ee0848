#include "backends/xnnpack/lower/pieces.h"

#include <algorithm>
#include <functional>
#include <numeric>

namespace intaglio::xnnpack::lower {
namespace {

// Kernels add one element after another, so a long row would gather roundings.
constexpr int64_t longest_row = 1024;

ValueId weighted(Lowering& lowering, ValueId input, float factor, std::optional<float> offset) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  Tensor row = Tensor::empty(DType::float32, {1, dims.back()});
  std::fill_n(row.mutable_data<float>(), row.numel(), factor);
  const ValueId weight = lowering.constant(row, "mean");
  const ValueId bias = offset ? lowering.constant(Tensor::of<float>({*offset}, {1}), "epsilon") : invalid_id;
  dims.back() = 1;
  return lowering.compute(NodeKind::FullyConnected, {input, weight, bias}, {}, dims);
}

// The divisor nearest to the square root from below.
int64_t middle_divisor(int64_t count) {
  int64_t best = 1;
  for (int64_t d = 1; d * d <= count; ++d)
    if (count % d == 0) best = d;
  return best;
}

}  // namespace

int64_t product(const std::vector<int64_t>& dims, size_t first, size_t count) {
  const auto begin = dims.begin() + static_cast<std::ptrdiff_t>(first);
  return std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(count), int64_t{1}, std::multiplies<>());
}

ValueId merged_last(Lowering& lowering, ValueId input, size_t count) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  if (count == 1) return input;
  const int64_t merged = product(dims, dims.size() - count, count);
  dims.resize(dims.size() - count);
  dims.push_back(merged);
  return lowering.reshaped(input, dims);
}

ValueId row_sums(Lowering& lowering, ValueId input, float factor, std::optional<float> offset) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t parts = middle_divisor(dims.back());
  if (dims.back() <= longest_row || parts == 1 || dims.size() + 1 > max_rank || lowering.value(input).dynamic)
    return weighted(lowering, input, factor, offset);
  std::vector<int64_t> split = dims;
  split.back() = parts;
  split.push_back(dims.back() / parts);
  const ValueId partial = weighted(lowering, lowering.reshaped(input, split), 1, std::nullopt);
  dims.back() = parts;
  return weighted(lowering, lowering.reshaped(partial, dims), factor, offset);
}

}  // namespace intaglio::xnnpack::lower
