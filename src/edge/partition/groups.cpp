#include "edge/partition/groups.h"

#include <algorithm>
#include <map>

#include "edge/partition/order.h"

namespace intaglio::edge {

std::vector<Partition> merge_partitions(const Graph& graph, const std::vector<NodeGroup>& written) {
  const std::vector<Node*> nodes = graph.node_list();
  std::vector<NodeGroup> groups = written;
  UnitOrder order = order_units(nodes, groups);
  while (!order.is_acyclic()) {
    // What is not sorted hangs on a cycle; the first larger group among it is given up.
    std::vector<bool> sorted(order.nodes.size());
    for (size_t unit : order.sorted) sorted[unit] = true;
    size_t entangled = 0;
    while (entangled < groups.size() && (sorted[entangled] || groups[entangled].size() == 1)) ++entangled;
    groups.erase(groups.begin() + static_cast<ptrdiff_t>(entangled));
    order = order_units(nodes, groups);
  }

  // stage: how many unsupported ops, at least, stand before a unit on some path since the last delegate. Supported units of
  // one stage form one partition; an unsupported unit runs between the partitions of the stages before it and its own.
  std::vector<size_t> stage(order.nodes.size());
  std::map<size_t, std::vector<size_t>> members;
  for (size_t unit : order.sorted) {
    const bool supported = unit < groups.size();
    for (size_t earlier : order.before[unit])
      stage[unit] = std::max(stage[unit], stage[earlier] + (!supported && earlier < groups.size() ? 1 : 0));
    if (!supported) continue;
    std::vector<size_t>& partition = members[stage[unit]];
    partition.insert(partition.end(), order.nodes[unit].begin(), order.nodes[unit].end());
  }
  std::vector<Partition> partitions;
  for (auto& [number, indices] : members) {
    std::sort(indices.begin(), indices.end());
    Partition& partition = partitions.emplace_back();
    for (size_t index : indices) partition.nodes.push_back(nodes[index]);
  }
  return partitions;
}

}  // namespace intaglio::edge
