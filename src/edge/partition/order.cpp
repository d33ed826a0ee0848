#include "edge/partition/order.h"

#include <algorithm>
#include <functional>
#include <queue>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::edge {
namespace {

constexpr size_t none = static_cast<size_t>(-1);

// Kahn's algorithm; of the units that are ready, the one that came first in the graph.
void sort_units(UnitOrder& order) {
  std::vector<size_t> waiting(order.nodes.size());
  std::vector<std::vector<size_t>> after(order.nodes.size());
  for (size_t unit = 0; unit < order.before.size(); ++unit) {
    waiting[unit] = order.before[unit].size();
    for (size_t earlier : order.before[unit]) after[earlier].push_back(unit);
  }
  using Ready = std::pair<size_t, size_t>;  // first node, unit
  std::priority_queue<Ready, std::vector<Ready>, std::greater<>> ready;
  for (size_t unit = 0; unit < waiting.size(); ++unit)
    if (waiting[unit] == 0) ready.emplace(order.nodes[unit].front(), unit);
  while (!ready.empty()) {
    const size_t unit = ready.top().second;
    ready.pop();
    order.sorted.push_back(unit);
    for (size_t later : after[unit])
      if (--waiting[later] == 0) ready.emplace(order.nodes[later].front(), later);
  }
}

}  // namespace

UnitOrder order_units(const std::vector<Node*>& nodes, const std::vector<std::vector<Node*>>& groups) {
  std::unordered_map<const Node*, size_t> index;
  for (size_t i = 0; i < nodes.size(); ++i) index.emplace(nodes[i], i);
  UnitOrder order;
  order.unit_of.assign(nodes.size(), none);
  for (const std::vector<Node*>& group : groups) {
    if (group.empty()) throw_bug("a partition without nodes");
    std::vector<size_t> members;
    for (const Node* node : group) {
      auto found = index.find(node);
      if (found == index.end()) throw_bug("a partition names a node that is not in the graph");
      if (order.unit_of[found->second] != none) throw_bug(fmt::format("node '{}' is in two partitions", node->name()));
      order.unit_of[found->second] = order.nodes.size();
      members.push_back(found->second);
    }
    std::sort(members.begin(), members.end());
    order.nodes.push_back(std::move(members));
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (order.unit_of[i] != none) continue;
    order.unit_of[i] = order.nodes.size();
    order.nodes.push_back({i});
  }
  order.before.resize(order.nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const Value* input : nodes[i]->inputs())
      if (input->producer()) {
        const size_t producer = order.unit_of[index.at(input->producer())];
        if (producer != order.unit_of[i]) order.before[order.unit_of[i]].push_back(producer);
      }
  for (std::vector<size_t>& before : order.before) {
    std::sort(before.begin(), before.end());
    before.erase(std::unique(before.begin(), before.end()), before.end());
  }
  sort_units(order);
  return order;
}

}  // namespace intaglio::edge
