// From single nodes that a backend takes to its partitions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <intaglio/partitioner.h>

#include "backends/common/program_facts.h"

namespace intaglio::common {

struct Candidates {
  std::unordered_set<const Node*> supported;
  std::vector<Refusal> refusals;               // of the other nodes that have results, in graph order
  std::vector<std::vector<const Node*>> ties;  // nodes that go together: each list one delegate
};

// `refusal` says why a node cannot be delegated; nullopt: it can.
Candidates find_candidates(const ExportedProgram& program, const std::function<std::optional<std::string>(const Node&)>& refusal);

// Behind what a warning says of the first of so many nodes: ", and so do 2 more", or nothing.
std::string and_others(size_t nodes);

// As few partitions as the graph allows. Together go, besides what is tied, an op and the dequantize nodes and expressions of
// constants that it alone reads: so integers and not floats cross a boundary, and weights are known where they are used.
// Expressions of constants go along only when all of their readers are inside.
std::vector<Partition> partition_candidates(const ProgramFacts& facts, const Candidates& candidates);

}  // namespace intaglio::common
