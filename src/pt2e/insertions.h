// Where observers stand: torchao's insertion rules, as data instead of graph nodes.
//
// Tests: insertions_test.cpp.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <intaglio/program.h>

#include "pt2e/spec_map.h"

namespace intaglio::pt2e {

// One observer call: it watches `value` on its way to `users`.
struct Insertion {
  std::string name;  // "activation_post_process_3"; counts insertions
  Value* value = nullptr;
  std::optional<size_t> parent;  // reads the result of this insertion instead of the value itself (stacked q/dq)
  size_t group = 0;              // into SpecMap::groups: insertions of one group share an observer
  bool of_output = false;        // stands for every user of the value
  std::vector<Node*> users;      // nodes that read this insertion's result directly; the output node counts
  std::string rule;
};

struct Insertions {
  std::vector<Insertion> items;
  // Of each value: its insertions in the order in which they stand in the graph, stacked ones after their parent.
  std::unordered_map<const Value*, std::vector<size_t>> of_value;

  const std::vector<size_t>& at(const Value* value) const;
};

// In-place operators get the tensor itself, and so does who reads it, or a view of it, after a write from elsewhere: an observed copy
// would keep the old elements. compat=torchao knows only the operand of an operator that writes to a buffer.
Insertions plan_insertions(const ExportedProgram& program, const Annotations& annotations, const SpecMap& specs,
                           Compat compat = Compat::intaglio);

}  // namespace intaglio::pt2e
