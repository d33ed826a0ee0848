// Where resizing by nearest neighbours takes its elements, and the factors it is given.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio::decompose {

// Of an axis of `from` elements, the one that stands at each of `to` places: as PyTorch finds it, in float32. A factor that is given
// decides, else the sizes do. `exact`: by the middle of each place, not by its corner.
std::vector<int64_t> nearest_places(int64_t from, int64_t to, std::optional<double> factor, bool exact = false);

// The factor that any form of `aten.upsample_*` gives for one of its axes.
std::optional<double> resize_factor(const Node& node, size_t axis);

}  // namespace intaglio::decompose
