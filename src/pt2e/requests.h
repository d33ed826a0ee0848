// What a configuration names, held against what was annotated. Test: requests_test.cpp.
#pragma once

#include "pt2e/prepared.h"

namespace intaglio::pt2e {

// Warns of names that nothing in the program has, and of layers that were named and stay in float: all of a name's where none
// of its operators is annotated, else those that do the work (Work::is_macs). What reads constants only is computed ahead.
void warn_of_requests(const PreparedProgram::State& state);

}  // namespace intaglio::pt2e
