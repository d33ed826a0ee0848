// Groups nodes into few partitions that can run one after the other.
#pragma once

#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::xnnpack {

// A node's level is the number of times a path to it leaves and enters supported nodes again; supported nodes of one level
// form one partition, connected or not. Such partitions are convex: a path that leaves level k comes back at k + 1 or
// above. Linear in the size of the graph.
//
// Nodes for which `sinks` holds (dequantize nodes, expressions of constants) move to the level of their readers, so that
// int8 and not float crosses the boundary. One whose readers are not supported is left outside when `needs_reader` holds.
struct LevelOptions {
  std::function<bool(const Node&)> supported;
  std::function<bool(const Node&)> sinks;
  std::function<bool(const Node&)> needs_reader;
};
std::vector<std::vector<Node*>> group_by_level(const Graph& graph, const LevelOptions& options);

}  // namespace intaglio::xnnpack
