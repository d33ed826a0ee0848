#include "decompose/limits.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::decompose {

int64_t written_out(const Node& node, DType dtype, const Sizes& sizes) {
  constexpr int64_t most_bytes = int64_t{1} << 26;
  int64_t bytes = static_cast<int64_t>(item_size(dtype));
  for (const int64_t size : sizes) {
    if (size < 0) throw_bad_input(fmt::format("{}: {} is no number of elements", describe(node), size));
    if (size > 0 && bytes > most_bytes / size)
      refuse(node,
             fmt::format("it would be written out as a constant of {} elements, and 64 MB of them is the most", fmt::join(sizes, " x ")));
    bytes *= std::max<int64_t>(size, 1);
  }
  return element_count(sizes);
}

Tensor bounded_zeros(const Node& node, DType dtype, Sizes sizes) {
  written_out(node, dtype, sizes);
  return Tensor::zeros(dtype, std::move(sizes));
}

Ints counted_numbers(const Node& node, int64_t count) {
  Ints numbers(static_cast<size_t>(written_out(node, DType::int64, {count})));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

void refuse_size(const Node& node, size_t nodes) {
  refuse(node, fmt::format("taken apart it makes more than {} operators; make the model's sequences shorter", nodes));
}

}  // namespace intaglio::decompose
