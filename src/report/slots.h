// What a `.pte` wants at its inputs, for binding samples.
#pragma once

#include <string>
#include <vector>

#include <intaglio/data.h>

#include "runtime/runtime.h"

namespace intaglio::report {

// It has no names: its inputs are input_0, input_1, ...
std::vector<InputSlot> input_slots(const runtime::MethodInfo& method);

// "'tokens' (int64 [1, <=255])"
std::string text_of(const InputSlot& slot);

}  // namespace intaglio::report
