// Buffers that a delegate keeps as its model's state.
#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include <intaglio/partitioner.h>

#include "ir/result_places.h"

namespace intaglio::coreml {

// Of a program that does not change meanwhile.
class States {
 public:
  explicit States(const ExportedProgram& program);
  // The float buffers that the partition's nodes alone read and give their new values become its own.
  void own(Partition& partition) const;

 private:
  // Results of its nodes that are the next value of a buffer.
  std::vector<size_t> kept_results(const Partition& partition) const;

  const ExportedProgram& program_;
  ResultPlaces results_;
  std::unordered_map<std::string_view, Value*> buffers_;
};

}  // namespace intaglio::coreml
