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

}  // namespace intaglio::xnnpack
