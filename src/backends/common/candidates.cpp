#include "backends/common/candidates.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include <fmt/format.h>

#include "edge/partition/groups.h"

namespace intaglio::common {
namespace {

class Groups {
 public:
  Groups(const ProgramFacts& facts, const Candidates& candidates)
      : nodes_(facts.program().graph().node_list()), parent_(nodes_.size()), delegated_(nodes_.size()) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
    for (size_t i = 0; i < nodes_.size(); ++i) index_[nodes_[i]] = i;
    // Readers before what they read.
    for (size_t i = nodes_.size(); i-- > 0;)
      delegated_[i] = candidates.supported.contains(nodes_[i]) && (!facts.makes_constant(*nodes_[i]) || is_read_inside(*nodes_[i]));
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (delegated_[i]) join_sources(facts, *nodes_[i]);
    for (const auto& tied : candidates.ties)
      for (const Node* node : tied) join(tied.front(), node);
  }

  std::vector<edge::NodeGroup> groups() {
    std::map<size_t, edge::NodeGroup> by_root;
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (delegated_[i]) by_root[root(i)].push_back(nodes_[i]);
    std::vector<edge::NodeGroup> result;
    for (auto& [first, nodes] : by_root) result.push_back(std::move(nodes));
    return result;
  }

 private:
  bool is_delegated(const Node* node) const {
    const auto found = index_.find(node);
    return found != index_.end() && delegated_[found->second];
  }
  bool is_read_inside(const Node& node) const {
    return std::ranges::all_of(node.output()->users(), [&](const Node* user) { return is_delegated(user); });
  }
  void join_sources(const ProgramFacts& facts, const Node& node) {
    for (const Value* input : node.inputs()) {
      const Node* producer = input->producer();
      if (!producer || !input->has_one_user() || !is_delegated(producer)) continue;
      if (qdq::is_tensor_or_channel_dequantize(*producer) || facts.makes_constant(*producer)) join(&node, producer);
    }
  }

  size_t root(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(const Node* a, const Node* b) { parent_[root(index_.at(b))] = root(index_.at(a)); }

  std::vector<Node*> nodes_;
  std::vector<size_t> parent_;
  std::vector<bool> delegated_;
  std::unordered_map<const Node*, size_t> index_;
};

}  // namespace

Candidates find_candidates(const ExportedProgram& program, const std::function<std::optional<std::string>(const Node&)>& refusal) {
  Candidates candidates;
  for (Node* node : program.graph().node_list()) {
    std::optional<std::string> why = refusal(*node);
    if (!why) candidates.supported.insert(node);
    else if (!node->outputs().empty()) candidates.refusals.push_back({node, *std::move(why)});
  }
  return candidates;
}

std::string and_others(size_t nodes) { return nodes == 1 ? "" : fmt::format(", and so do {} more", nodes - 1); }

std::vector<Partition> partition_candidates(const ProgramFacts& facts, const Candidates& candidates) {
  return edge::merge_partitions(facts.program().graph(), Groups(facts, candidates).groups());
}

}  // namespace intaglio::common
