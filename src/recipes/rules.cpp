#include "recipes/rules.h"

#include <algorithm>
#include <unordered_map>

namespace intaglio::recipes {

std::vector<DType> RuleQuantizer::widened_types() const {
  std::vector<DType> types;
  for (const RecipeRule& rule : rules_) {
    if (!rule.config) continue;
    for (const DType type : quantizer_for(*rule.config)->widened_types())
      if (std::ranges::find(types, type) == types.end()) types.push_back(type);
  }
  return types;
}

// What a backend makes of a program before it annotates is the same for each of its configurations.
void RuleQuantizer::transform_for_annotation(ExportedProgram& program) const {
  const auto quantizing = std::ranges::find_if(rules_, [](const RecipeRule& rule) { return rule.config.has_value(); });
  if (quantizing != rules_.end()) quantizer_for(*quantizing->config)->transform_for_annotation(program);
}

void RuleQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  std::unordered_map<const Node*, const RecipeRule*> deciding;
  for (const Node* node : program.graph().node_list()) {
    const auto first = std::ranges::find_if(rules_, [&](const RecipeRule& rule) { return rule.match.matches(*node); });
    if (first != rules_.end()) deciding[node] = &*first;
  }
  for (const RecipeRule& rule : rules_) {
    if (!rule.config) continue;
    const auto is_decided_here = [&](const Node& node) {
      const auto found = deciding.find(&node);
      return found != deciding.end() && found->second == &rule;
    };
    quantizer_for(*rule.config, is_decided_here)->annotate(program, annotations);
  }
  for (const RecipeRule& rule : rules_) {
    if (rule.match == NodeSelector{}) continue;
    std::vector<const Node*> nodes = matching_nodes(program.graph(), rule.match);
    const bool is_known = !nodes.empty();
    // Of those inside sub-graphs no rule decides.
    std::erase_if(nodes, [&](const Node* node) {
      const auto found = deciding.find(node);
      return found != deciding.end() && found->second != &rule;
    });
    if (!is_known || !nodes.empty()) annotations.ask({to_string(rule.match), std::move(nodes), rule.config.has_value()});
  }
}

}  // namespace intaglio::recipes
