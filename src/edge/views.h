// Which ops need no instruction because their result can share the memory of an argument.
#pragma once

#include <intaglio/graph.h>

namespace intaglio::edge {

// The argument whose elements the node's single result repeats, in the same order of bytes: views, clones and casts
// that change nothing. Null when something has to move. Says nothing of who else uses the memory.
Value* same_bytes_as(const Node& node);

// The value that holds the bytes of `value` when all such nodes are looked through.
Value* origin(Value* value);

}  // namespace intaglio::edge
