#include "base/computed.h"

namespace intaglio {
namespace {

constexpr size_t large = 1 << 20;  // bytes; below that the second computation costs more than they do

}  // namespace

Tensor computed_from(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& source)> compute) {
  const size_t bytes = static_cast<size_t>(element_count(sizes)) * item_size(dtype);
  if (bytes < large || source.storage()->writable() != nullptr) return compute(source).contiguous();
  source.as_it_lies().raw();  // a damaged record is told now
  auto storage = Storage::computed(bytes, [source, compute = std::move(compute)] {
    const Tensor made = compute(source).contiguous();
    const bool whole = made.storage_offset() == 0 && made.nbytes() == made.storage()->size();
    return whole ? made.storage() : made.clone().storage();
  });
  Sizes strides = contiguous_strides(sizes);
  return Tensor(dtype, std::move(sizes), std::move(strides), 0, std::move(storage));
}

}  // namespace intaglio
