// Constants of a program as literals, converted when they are written.
#pragma once

#include "backends/coreml/mil/literal.h"

namespace intaglio::coreml {

// Float numbers to float16 round to nearest even; those of small tensors do not become 0. Integers that 32 bits cannot hold become
// the nearest that they can.
Literal constant_literal(const Tensor& tensor, DataType type);

// True when some number is finite and beyond what float16 has, and is not meant as an infinity.
bool is_beyond_float16(const Tensor& tensor);
bool is_beyond_float16(double number);

}  // namespace intaglio::coreml
