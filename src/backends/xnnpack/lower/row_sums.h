// Sums over the last dimension, for means and norms.
#pragma once

#include <optional>
#include <vector>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {

int64_t product(const std::vector<int64_t>& dims, size_t first, size_t count);
// The last `count` dimensions as one; they and, for more than one, all others are static.
ValueId merged_last(Lowering& lowering, ValueId input, size_t count);
// [.., count] to [.., 1]: every row's sum times `factor`, plus `offset`. Float32.
ValueId row_sums(Lowering& lowering, ValueId input, float factor, std::optional<float> offset = std::nullopt);

}  // namespace intaglio::xnnpack::lower
