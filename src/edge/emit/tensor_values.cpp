#include "edge/emit/tensor_values.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::edge {
namespace {

int64_t upper_bound(const SymInt& size, const SymRanges& ranges, std::string_view name, size_t dimension) {
  if (size.is_static()) return size.value();
  const SymRange range = bounds(*size.expression(), ranges);
  if (!range.max)
    throw_unsupported(
        fmt::format("dimension {} of '{}' ({}) has no upper bound, so no memory can be planned for it; export the "
                    "model with Dim(..., max=N), or with torch._check(size <= N) where data decide",
                    dimension, name, escaped(to_string(size), 80)));
  if (*range.max > std::numeric_limits<int32_t>::max())
    throw_unsupported(
        fmt::format("dimension {} of '{}' ({}) may be {}, and ExecuTorch's sizes end at 2^31 - 1; export the model with a "
                    "smaller max in Dim(..., max=N)",
                    dimension, name, escaped(to_string(size), 80), *range.max));
  return *range.max;
}

}  // namespace

std::vector<int32_t> sizes32(const Sizes& sizes, std::string_view name) {
  if (sizes.size() > pte::most_dimensions)
    throw_unsupported(fmt::format("'{}' has {} dimensions; ExecuTorch's tensors end at {}", name, sizes.size(), pte::most_dimensions));
  std::vector<int32_t> result;
  for (const int64_t size : sizes) {
    if (size < 0 || size > std::numeric_limits<int32_t>::max())
      throw_unsupported(fmt::format("'{}' has the size {}; ExecuTorch's sizes end at 2^31 - 1", name, size));
    result.push_back(static_cast<int32_t>(size));
  }
  return result;
}

std::vector<uint8_t> stored_dim_order(const TensorMeta& meta) {
  const std::vector<uint8_t> order = meta.dim_order();
  static const std::vector<uint8_t> channels_last = {0, 2, 3, 1};
  static const std::vector<uint8_t> channels_last3d = {0, 2, 3, 4, 1};
  if (order == channels_last || order == channels_last3d) return order;
  std::vector<uint8_t> identity(order.size());
  std::iota(identity.begin(), identity.end(), uint8_t{0});
  return identity;
}

pte::TensorValue tensor_value(const TensorMeta& meta, const SymRanges& ranges, std::string_view name) {
  pte::TensorValue tensor;
  tensor.scalar_type = pte::scalar_type_of(meta.dtype);
  Sizes sizes;
  for (const SymInt& size : meta.sizes) sizes.push_back(upper_bound(size, ranges, name, sizes.size()));
  tensor.sizes = sizes32(sizes, name);
  tensor.dim_order = stored_dim_order(meta);
  tensor.shape_dynamism = meta.is_static() ? pte::ShapeDynamism::fixed : pte::ShapeDynamism::bounded;
  if (planned_bytes(tensor) > most_bytes) throw_unsupported(fmt::format("'{}' would need more than 2^40 bytes of memory", name));
  return tensor;
}

uint64_t planned_bytes(const pte::TensorValue& tensor) {
  const std::optional<DType> dtype = pte::dtype_of_scalar_type(tensor.scalar_type);
  uint64_t bytes = dtype ? item_size(*dtype) : 4;
  if (std::ranges::find(tensor.sizes, 0) != tensor.sizes.end()) return 0;
  for (const int32_t size : tensor.sizes)
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes) || bytes > (uint64_t{1} << 50)) return uint64_t{1} << 50;
  return bytes;
}

}  // namespace intaglio::edge
