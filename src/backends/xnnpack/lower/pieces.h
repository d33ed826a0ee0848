// Values cut along one dimension and joined again, and summed along one.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {

// A dimension that may be written from behind.
inline size_t normalized(int64_t dim, size_t rank) { return static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(rank) : dim); }

// Where a slice of a dimension of this size starts.
inline int64_t slice_start(const Node& node, int64_t size) {
  const int64_t start = node.optional_integer("start").value_or(0);
  return std::clamp<int64_t>(start < 0 ? start + size : start, 0, size);
}

// `size` elements from `start` on; the value itself when these are all.
ValueId piece(Lowering& lowering, ValueId input, size_t dim, int64_t start, int64_t size);

// One behind the other. `as_result`: the node's own result.
ValueId joined(Lowering& lowering, std::vector<ValueId> parts, size_t dim, bool as_result = false);

// Neighbours among the elements that are picked.
struct Run {
  int64_t start = 0, size = 0;
  friend bool operator==(const Run&, const Run&) = default;
};
std::vector<Run> runs_of(const std::vector<int64_t>& places);
// The elements at these places, in their order: a slice for each run.
ValueId picked(Lowering& lowering, ValueId input, size_t dim, const std::vector<int64_t>& places, bool as_result = false);

// More of a dimension, in front and behind.
ValueId padded(Lowering& lowering, ValueId input, size_t dim, int64_t before, int64_t after, float value = 0);

// Windows that lie `stride` elements apart and do not overlap: what each sees stands behind what the one before it sees.
struct Windows {
  size_t dim = 0;
  int64_t start = 0, count = 0, size = 1, stride = 1;
  int64_t dilation = 1;  // between the elements of one window
};
// `symbolic`: the dimension, not that of the windows, whose size is known at run time only.
ValueId seen_by(Lowering& lowering, ValueId input, const Windows& windows, std::optional<size_t> symbolic = {});

// Sums over the last dimension, for means and norms.
int64_t product(const std::vector<int64_t>& dims, size_t first, size_t count);
// The last `count` dimensions as one; they and, for more than one, all others are static.
ValueId merged_last(Lowering& lowering, ValueId input, size_t count);
// [.., count] to [.., 1]: every row's sum times `factor`, plus `offset`. Float32.
ValueId row_sums(Lowering& lowering, ValueId input, float factor, std::optional<float> offset = std::nullopt);

}  // namespace intaglio::xnnpack::lower
