// Readable, stable text of what prepare decided: the form of golden tests and of `pt2e_annotate --text`.
#pragma once

#include <string>

#include "pt2e/prepared.h"

namespace intaglio::pt2e {

std::string to_string(const AnyQuantizationSpec& spec);
// Sections `annotations`, `groups` and `observers`, each in graph order.
std::string to_string(const PreparedProgram::State& state);

}  // namespace intaglio::pt2e
