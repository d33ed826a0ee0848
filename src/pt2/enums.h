// The archive's numbers for element types, layouts and memory formats; they are not PyTorch's internal ones.
#pragma once

#include <intaglio/graph.h>

namespace intaglio::pt2 {

// Bad-input error for a number without a meaning.
DType dtype_of_number(int64_t number);
Layout layout_of_number(int64_t number);
MemoryFormat memory_format_of_number(int64_t number);

int64_t number_of(DType dtype);
int64_t number_of(Layout layout);
int64_t number_of(MemoryFormat format);

}  // namespace intaglio::pt2
