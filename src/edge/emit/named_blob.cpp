#include <intaglio/partitioner.h>

namespace intaglio {

std::span<const std::byte> NamedBlob::bytes() const {
  if (!tensor.defined() || tensor.numel() == 0) return owned;
  return {static_cast<const std::byte*>(tensor.raw()), tensor.nbytes()};
}

}  // namespace intaglio
