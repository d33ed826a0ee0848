// Inside of partitioning: the graph with groups of nodes contracted to one unit each, in an order that respects all uses.
#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio::edge {

struct UnitOrder {
  std::vector<size_t> unit_of;              // by node index
  std::vector<std::vector<size_t>> nodes;   // node indices by unit, ascending; the groups' units come first, in their order
  std::vector<size_t> sorted;               // units in execution order; fewer than all when there is a cycle
  std::vector<std::vector<size_t>> before;  // units that a unit needs

  bool is_acyclic() const { return sorted.size() == nodes.size(); }
};

// `nodes` is the graph's node list; no two groups share a node (bug error).
UnitOrder order_units(const std::vector<Node*>& nodes, const std::vector<std::vector<Node*>>& groups);

}  // namespace intaglio::edge
