#include "base/parts.h"

#include <algorithm>
#include <cstdint>

namespace intaglio {
namespace {

constexpr size_t part_bytes = 2 << 20;  // stays in a second-level cache

}  // namespace

bool is_read_in_parts(const Tensor& tensor) {
  return tensor.rank() > 0 && tensor.is_contiguous() && tensor.nbytes() > part_bytes && tensor.size(0) > 1;
}

bool is_streamed(const Tensor& tensor) {
  return tensor.is_contiguous() && tensor.storage()->stream_unit() > 0 && tensor.storage_offset() == 0 &&
         tensor.nbytes() == tensor.storage()->size();
}

void for_each_part(const Tensor& tensor, const std::function<void(int64_t first, const Tensor& rows)>& visit) {
  if (!is_read_in_parts(tensor)) return visit(0, tensor.for_one_use());
  const int64_t rows = tensor.size(0), row_bytes = static_cast<int64_t>(tensor.nbytes()) / rows;
  if (is_streamed(tensor) && static_cast<int64_t>(tensor.storage()->stream_unit()) % row_bytes == 0) {
    Sizes sizes = tensor.sizes();
    int64_t first = 0;
    tensor.storage()->stream([&](std::span<const std::byte> bytes) {
      sizes[0] = static_cast<int64_t>(bytes.size()) / row_bytes;
      visit(first, Tensor(tensor.dtype(), sizes, contiguous_strides(sizes), 0, Storage::mapped(nullptr, bytes)));
      first += sizes[0];
    });
    return;
  }
  const Tensor lying = tensor.as_it_lies();
  const int64_t step = std::max<int64_t>(1, static_cast<int64_t>(part_bytes) / std::max<int64_t>(1, row_bytes));
  for (int64_t first = 0; first < rows; first += step) {
    const Tensor part = lying.narrowed(0, first, std::min(step, rows - first));
    const bool is_aligned = reinterpret_cast<uintptr_t>(part.raw()) % item_size(part.dtype()) == 0;
    visit(first, is_aligned ? part : part.clone());
  }
}

}  // namespace intaglio
