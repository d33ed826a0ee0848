// Dimensions that a reduction runs over, when they are neighbours: the tensor is then [outer, run, inner].
#pragma once

#include <cstddef>
#include <optional>

#include <intaglio/program.h>

namespace intaglio::xnnpack {

struct ReducedRun {
  size_t first = 0, count = 0;  // of the dimensions
  size_t rank = 0;              // of the input
  bool is_trailing() const { return first + count == rank; }
};

// nullopt when the reduced dimensions are no neighbours. No dimensions at all, or none named, means all of them.
std::optional<ReducedRun> reduced_run(const Node& node);

}  // namespace intaglio::xnnpack
