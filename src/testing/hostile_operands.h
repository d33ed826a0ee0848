// Operators with operands that no exporter writes: any rank, sizes of 0 and 2^31, lists that are empty, too long or hold far numbers,
// missing optional arguments, other element types. What a rule or a rewrite makes of them is a result or one of our errors.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::test {

// A program of one node of `op` with operands of the draw: what a file may hold that has passed `check_arguments`. The results are
// those that inference gives; where it has no rule, whatever the draw says that the file claims.
ExportedProgram hostile_program(std::string_view op, uint64_t draw);

// Runs `work` on `draws` draws of each operator, in children of this process: a signal, an exception that is none of our
// errors of the input, and more than two seconds of processor time are findings; so is memory beyond four gigabytes. What is
// found is text: the operator, the draw, what happened, the program; "" when nothing is.
using HostileWork = std::function<void(ExportedProgram& program)>;
std::string hostile_findings(const std::vector<std::string_view>& operators, uint64_t draws, const HostileWork& work);

// How many draws an operator gets: more in the nightly. INTAGLIO_DRAW=operator/draw looks at that one alone, in this process.
uint64_t hostile_draws(uint64_t quick, uint64_t nightly);

}  // namespace intaglio::test
