// What lowering and the constraints both ask of a node.
#pragma once

#include <cstddef>
#include <optional>

#include <intaglio/program.h>

#include "backends/common/program_facts.h"

namespace intaglio::xnnpack {

// Elements that an op picks along one dimension, at places known ahead.
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

// Dimensions that a reduction runs over, when they are neighbours: the tensor is then [outer, run, inner].
struct ReducedRun {
  size_t first = 0, count = 0;  // of the dimensions
  size_t rank = 0;              // of the input
  bool is_trailing() const { return first + count == rank; }
};

// nullopt when the reduced dimensions are no neighbours. No dimensions at all, or none named, means all of them.
std::optional<ReducedRun> reduced_run(const Node& node);
// Of `aten.var.correction`: by how much its divisor is less than the number of elements.
double correction_of(const Node& node);

}  // namespace intaglio::xnnpack
