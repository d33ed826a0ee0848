// What a program wants at its inputs, for binding samples.
#pragma once

#include <vector>

#include <intaglio/data.h>
#include <intaglio/program.h>

#include "runtime/runtime.h"

namespace intaglio {

std::vector<InputSlot> input_slots(const ExportedProgram& program);
// A `.pte` has no names: its inputs are input_0, input_1, ...
std::vector<InputSlot> input_slots(const runtime::MethodInfo& method);

}  // namespace intaglio
