// How deep calls may go.
#pragma once

#include <functional>

namespace intaglio {

// Runs what a program does. Where its first thread may have less of a stack than is usual (`ulimit -s`), on a thread that has as much;
// those that are started later have no less. An Error of the machine where no such thread can be had.
int with_enough_stack(const std::function<int()>& body);

}  // namespace intaglio
