// The tables of patterns of Core ML's quantizer.
#pragma once

#include "pt2e/pattern_table.h"

namespace intaglio::coreml {

extern const pt2e::PatternTable pattern_table;
// As coremltools finds and annotates them.
extern const pt2e::PatternTable original_pattern_table;

}  // namespace intaglio::coreml
