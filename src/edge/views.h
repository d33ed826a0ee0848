// Which ops need no instruction because their result can share the memory of an argument.
#pragma once

#include <unordered_map>

#include <intaglio/graph.h>

namespace intaglio::edge {

// The argument whose elements the node's single result repeats, in the same order of bytes: views, clones and casts
// that change nothing. Null when something has to move. Says nothing of who else uses the memory.
Value* same_bytes_as(const Node& node);

// The value that holds the bytes of a value when all such nodes are looked through: chains are walked once. Between two questions
// nodes may be added, but none that was asked about goes or gets another operand.
class Origins {
 public:
  Value* of(Value* value);

 private:
  std::unordered_map<const Value*, Value*> known_;
};

}  // namespace intaglio::edge
