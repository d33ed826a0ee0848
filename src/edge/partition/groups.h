// Maximal convex groups: as few delegates as the graph allows.
#pragma once

#include <vector>

#include <intaglio/partitioner.h>

namespace intaglio::edge {

// Nodes that a backend takes together: an op with its quantize and dequantize nodes, a fused activation.
using NodeGroup = std::vector<Node*>;

// Merges the groups into partitions, also unconnected ones, such that no path leaves a partition and comes back. Every
// unsupported op on a path opens a new partition behind it; the number of partitions is the largest number of such breaks
// on any path, plus one, which is the least possible. Groups must not share nodes (bug error). A group that is entangled
// with ops outside of it in a cycle cannot be a delegate and is left out.
// Partitions come in execution order, nodes in graph order. Time is linear in nodes and edges.
std::vector<Partition> merge_partitions(const Graph& graph, const std::vector<NodeGroup>& groups);

}  // namespace intaglio::edge
