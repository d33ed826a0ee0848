#include "quant/parts.h"

#include <cstring>

#include "base/parts.h"
#include "quant/affine.h"

namespace intaglio::quant {

QuantParams rows_of(const QuantParams& params, int64_t first, int64_t count) {
  QuantParams part = params;
  const auto cut = [&](auto& list) {
    if (list.size() > 1) list = {list.begin() + first, list.begin() + first + count};
  };
  cut(part.scale);
  cut(part.zero_point);
  return part;
}

Tensor quantized_in_parts(const Tensor& floats, const QuantParams& params) {
  const bool by_rows = !params.code_book && (params.is_per_tensor() || params.axis() == 0);
  if (!by_rows || !is_read_in_parts(floats)) return quantize(floats.for_one_use(), params);
  Tensor integers = Tensor::empty(params.dtype, floats.sizes());
  auto* to = static_cast<std::byte*>(integers.mutable_raw());
  for_each_part(floats, [&](int64_t first, const Tensor& rows) {
    const Tensor part = quantize(rows, rows_of(params, first, rows.size(0))).contiguous();
    std::memcpy(to, part.raw(), part.nbytes());
    to += part.nbytes();
  });
  return integers;
}

}  // namespace intaglio::quant
