// What a method's memory plan says: which tensor lives where, for which instructions, and how much is needed at once.
#pragma once

#include <cstdint>
#include <vector>

#include "pte/program.h"
#include "report/pte_explanation.h"

namespace intaglio::report {

// Fills `arenas` and `tensors`. `mentions`: for each instruction the tensor values that it names.
void add_memory_use(const pte::ExecutionPlan& plan, const std::vector<std::vector<int32_t>>& mentions, MethodContents& method);

}  // namespace intaglio::report
