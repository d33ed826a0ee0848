#include <algorithm>
#include <numeric>

#include <intaglio/graph.h>

namespace intaglio {

TensorMeta TensorMeta::contiguous(DType dtype, SymSizes sizes) {
  TensorMeta meta;
  meta.dtype = dtype;
  meta.strides.resize(sizes.size());
  SymInt stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    meta.strides[i] = stride;
    const bool degenerate = sizes[i].is_static() && sizes[i].value() < 2;
    if (!degenerate) stride = stride * sizes[i];
  }
  meta.sizes = std::move(sizes);
  return meta;
}

bool TensorMeta::is_static() const {
  return std::all_of(sizes.begin(), sizes.end(), [](const SymInt& size) { return size.is_static(); });
}

Sizes TensorMeta::static_sizes() const {
  Sizes result;
  result.reserve(sizes.size());
  for (const SymInt& size : sizes) result.push_back(size.value());
  return result;
}

std::vector<uint8_t> TensorMeta::dim_order() const {
  std::vector<int64_t> known;
  known.reserve(strides.size());
  for (const SymInt& stride : strides) {
    const std::optional<int64_t> hint = stride.hint();
    if (!hint) {  // without a hint there is nothing to sort by
      std::vector<uint8_t> order(strides.size());
      std::iota(order.begin(), order.end(), uint8_t{0});
      return order;
    }
    known.push_back(*hint);
  }
  return dim_order_of(known);
}

}  // namespace intaglio
