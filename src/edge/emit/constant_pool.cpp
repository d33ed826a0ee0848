#include "edge/emit/constant_pool.h"

#include <numeric>

#include "base/equal_blobs.h"

namespace intaglio::edge {
namespace {

bool is_identity(const std::vector<uint8_t>& order) {
  for (size_t i = 0; i < order.size(); ++i)
    if (order[i] != i) return false;
  return true;
}

}  // namespace

ConstantPool::Entry ConstantPool::add(const Tensor& tensor) {
  Entry entry;
  entry.dim_order = dim_order_of(tensor.strides());
  const bool stored_as_is = (tensor.is_contiguous() && is_identity(entry.dim_order)) || tensor.is_channels_last();
  Tensor stored = stored_as_is ? tensor : tensor.contiguous();
  if (!stored_as_is) std::iota(entry.dim_order.begin(), entry.dim_order.end(), uint8_t{0});

  // The same view of the same storage needs no look at its bytes.
  const auto [found, added] = known_.emplace(
      std::tuple(static_cast<const void*>(stored.storage().get()), stored.storage_offset(), stored.nbytes(), entry.dim_order),
      static_cast<uint32_t>(blobs_.size()));
  if (added) blobs_.emplace_back(stored.permuted(std::vector<int64_t>(entry.dim_order.begin(), entry.dim_order.end())));
  entry.index = found->second;
  return entry;
}

void ConstantPool::settle() {
  const std::vector<size_t> first = first_equal(blobs_);
  final_.assign(blobs_.size(), 0);
  contents_.clear();
  for (size_t i = 0; i < blobs_.size(); ++i) {
    if (first[i] == i) contents_.push_back(blobs_[i]);
    final_[i] = first[i] == i ? static_cast<uint32_t>(contents_.size()) : final_[first[i]];
  }
}

}  // namespace intaglio::edge
