// Cuts delegates out of a program.
#pragma once

#include <vector>

#include <intaglio/partitioner.h>

namespace intaglio {

constexpr std::string_view delegate_call = "executorch_call_delegate";

// The partition as a program of its own: same names, the constants it uses as its constants, other values from outside as
// user inputs in the order of their first use, results used outside as outputs in the order they are computed.
// The program it comes from is not changed.
ExportedProgram extract_partition(const ExportedProgram& program, const Partition& partition);

// Lets `partitioner` preprocess every partition and puts one call node in the place of each: op `executorch_call_delegate`,
// first argument "delegate" the index into `delegates`, then the inputs. Nodes are reordered where a partition needs it.
// A bug error when partitions overlap or are not convex. Constants that only partitions used leave the program.
void delegate_partitions(ExportedProgram& program, const Partitioner& partitioner, const std::vector<Partition>& partitions,
                         std::vector<Delegate>& delegates);

}  // namespace intaglio
