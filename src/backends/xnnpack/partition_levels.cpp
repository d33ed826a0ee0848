#include "backends/xnnpack/partition_levels.h"

#include <algorithm>
#include <map>

namespace intaglio::xnnpack {
namespace {

constexpr int outside = -1;

// Level of the partition that a node belongs to, and for nodes outside the highest level in front of them.
class Levels {
 public:
  Levels(const Graph& graph, const LevelOptions& options) : nodes_(graph.node_list()), options_(options) {}

  std::map<int, std::vector<Node*>> run() {
    for (Node* node : nodes_) assign(*node);
    for (auto node = nodes_.rbegin(); node != nodes_.rend(); ++node) sink(**node);
    std::map<int, std::vector<Node*>> groups;
    for (Node* node : nodes_)
      if (inside_[node]) groups[level_[node]].push_back(node);
    return groups;
  }

 private:
  void assign(Node& node) {
    const bool is_inside = options_.supported(node);
    int level = is_inside ? 0 : outside;
    for (const Value* input : node.inputs()) {
      const Node* producer = input->producer();
      if (!producer) continue;
      const bool enters = is_inside && !inside_[producer];
      level = std::max(level, level_[producer] + (enters ? 1 : 0));
    }
    inside_[&node] = is_inside;
    level_[&node] = level;
  }

  // Readers of every result, or outside when one of them is outside.
  int lowest_reader(const Node& node) {
    int lowest = outside;
    for (const Value* result : node.outputs())
      for (const Node* reader : result->users()) {
        const auto found = inside_.find(reader);
        if (found == inside_.end() || !found->second) return outside;
        lowest = lowest == outside ? level_[reader] : std::min(lowest, level_[reader]);
      }
    return lowest;
  }

  void sink(Node& node) {
    if (!inside_[&node] || !options_.sinks(node)) return;
    const int reader = lowest_reader(node);
    if (reader != outside) level_[&node] = reader;
    else if (options_.needs_reader(node)) inside_[&node] = false;
  }

  std::vector<Node*> nodes_;
  const LevelOptions& options_;
  std::unordered_map<const Node*, bool> inside_;
  std::unordered_map<const Node*, int> level_;
};

}  // namespace

std::vector<std::vector<Node*>> group_by_level(const Graph& graph, const LevelOptions& options) {
  std::vector<std::vector<Node*>> result;
  for (auto& [level, nodes] : Levels(graph, options).run()) result.push_back(std::move(nodes));
  return result;
}

}  // namespace intaglio::xnnpack
