// Quantize and dequantize operators that no delegate took. Test: stranded_test.cpp.
#pragma once

#include <string>

#include <intaglio/edge.h>

namespace intaglio::edge {

// One line that names the layers around them and their share of the method's work, with that of the operators that compute in
// float between them; "" where there are none. The program's own ends may be integers: what converts its inputs and outputs
// stands there because the program says so.
std::string stranded_quantization(const EdgeMethod& method);

}  // namespace intaglio::edge
