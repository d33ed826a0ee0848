// Which inputs of a program it writes to: of all of them at once, for those who ask of many.
#pragma once

#include <unordered_set>

#include <intaglio/program.h>

namespace intaglio {

// By an in-place operator or by a result that becomes a state's next value.
std::unordered_set<const Value*> mutated_inputs(const ExportedProgram& program);

}  // namespace intaglio
