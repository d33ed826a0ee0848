// What a value is made of, before the value. Not recursive: chains may be as long as the graph.
#pragma once

#include <vector>

#include <intaglio/graph.h>

namespace intaglio {

// Calls visit(v, operands) for `value` and all that it is made of, each behind its operands and once. `operands_of(v)`: those to follow, a
// std::vector<Value*>; `is_known(v)`: whether it need not be visited, which is so once it was.
template <typename OperandsOf, typename IsKnown, typename Visit>
void visit_operands_first(const Value* value, const OperandsOf& operands_of, const IsKnown& is_known, const Visit& visit) {
  struct Waiting {
    const Value* value;
    std::vector<Value*> operands;
    size_t next = 0;
  };
  std::vector<Waiting> stack;
  const auto wait_for = [&](const Value* v) {
    if (!is_known(v)) stack.push_back({v, operands_of(v)});
  };
  wait_for(value);
  while (!stack.empty()) {
    Waiting& top = stack.back();
    if (top.next < top.operands.size()) {
      wait_for(top.operands[top.next++]);
      continue;
    }
    if (!is_known(top.value)) visit(top.value, top.operands);
    stack.pop_back();
  }
}

}  // namespace intaglio
