// Inputs that may have some shapes and no others.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

using EnumeratedShapes = std::map<std::string, std::vector<Sizes>>;  // by input

// {"x": [[1, 8], [1, 16]], ...}; a usage error for any other text. "" is none.
EnumeratedShapes parse_enumerated_shapes(const std::string& text);
std::string to_json(const EnumeratedShapes& shapes);

// Such inputs get their shapes in place of ranges. A usage error for a name that no input has, and for a shape that it cannot have.
void give_shapes(Function& function, const EnumeratedShapes& shapes);

}  // namespace intaglio::coreml
