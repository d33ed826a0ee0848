// What a program's kernels need of the runtime.
#pragma once

#include <intaglio/runtime_version.h>

#include "pte/program.h"

namespace intaglio::pte {

// Of the kernels that it calls and the element types that it gives them. What no release registers needs nothing.
RuntimeNeeds runtime_needs(const Program& program);

}  // namespace intaglio::pte
