#include "edge/partition/groups.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "edge/partition/order.h"

namespace intaglio::edge {
namespace {

// Which groups hang on a cycle. Whenever no unit is ready, the first larger group among those that wait is given up: its
// nodes are units of their own from there on.
class Disentangling {
 public:
  Disentangling(const std::vector<Node*>& nodes, const UnitOrder& order, size_t groups)
      : nodes_(nodes), unit_of_(order.unit_of), members_(order.nodes), done_(nodes.size()), waiting_(nodes.size()), given_up_(groups) {
    for (size_t i = 0; i < nodes.size(); ++i) index_.emplace(nodes[i], i);
    for (size_t unit = 0; unit < members_.size(); ++unit) wait(unit);
  }

  std::vector<bool> run() {
    finish_ready();
    for (size_t group = 0; group < given_up_.size(); ++group) {
      if (waiting_[group] == 0 || members_[group].size() == 1) continue;
      give_up(group);
      finish_ready();
    }
    return given_up_;
  }

 private:
  // Counts what the unit's nodes read from units that are not finished.
  void wait(size_t unit) {
    if (waiting_.size() <= unit) waiting_.resize(unit + 1);
    for (const size_t i : members_[unit])
      for (const Value* input : nodes_[i]->inputs()) {
        if (input->producer() == nullptr) continue;
        const size_t producer = index_.at(input->producer());
        if (unit_of_[producer] != unit && !done_[producer]) ++waiting_[unit];
      }
    if (waiting_[unit] == 0) ready_.push_back(unit);
  }

  void finish_ready() {
    while (!ready_.empty()) {
      const size_t unit = ready_.back();
      ready_.pop_back();
      for (const size_t i : members_[unit]) finish(i, unit);
    }
  }

  // Of a node that reads several results of this one, `inputs` names each.
  void finish(size_t node, size_t unit) {
    done_[node] = true;
    for (const Value* output : nodes_[node]->outputs())
      for (const Node* reader : output->users()) {
        const auto place = index_.find(reader);
        if (place == index_.end() || unit_of_[place->second] == unit) continue;
        if (--waiting_[unit_of_[place->second]] == 0) ready_.push_back(unit_of_[place->second]);
      }
  }

  void give_up(size_t group) {
    given_up_[group] = true;
    const std::vector<size_t> members = std::move(members_[group]);
    members_[group].clear();
    waiting_[group] = 0;
    const size_t first = members_.size();
    for (const size_t i : members) {
      unit_of_[i] = members_.size();
      members_.push_back({i});
    }
    for (size_t unit = first; unit < members_.size(); ++unit) wait(unit);
  }

  const std::vector<Node*>& nodes_;
  std::unordered_map<const Node*, size_t> index_;
  std::vector<size_t> unit_of_;               // by node
  std::vector<std::vector<size_t>> members_;  // by unit; the groups come first
  std::vector<bool> done_;                    // by node
  std::vector<size_t> waiting_;               // by unit: uses of what is not finished
  std::vector<size_t> ready_;
  std::vector<bool> given_up_;
};

}  // namespace

std::vector<Partition> merge_partitions(const Graph& graph, const std::vector<NodeGroup>& written) {
  const std::vector<Node*> nodes = graph.node_list();
  std::vector<NodeGroup> groups = written;
  UnitOrder order = order_units(nodes, groups);
  if (!order.is_acyclic()) {
    const std::vector<bool> given_up = Disentangling(nodes, order, groups.size()).run();
    groups.clear();
    for (size_t i = 0; i < written.size(); ++i)
      if (!given_up[i]) groups.push_back(written[i]);
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
