// Elements that an op picks along one dimension, at places known ahead.
#pragma once

#include "backends/common/program_facts.h"

namespace intaglio::xnnpack {

struct PickedPlaces {
  size_t dim = 0;
  std::vector<int64_t> places;
};

// nullopt when several dimensions are picked from, or places are no constant vector.
std::optional<PickedPlaces> picked_places(const common::ProgramFacts& facts, const Node& node);

// An axis of `aten.upsample_nearest2d.vec` with static sizes: rows (2) or columns (3).
struct NearestAxis {
  NearestAxis(const Node& node, size_t dim);

  std::vector<int64_t> places;  // of the image, for each of the result
  int64_t times = 0;            // that every place of the image stands one after the other; 0 when that differs
};

}  // namespace intaglio::xnnpack
