#include "recipes/rules.h"

#include <algorithm>
#include <unordered_map>

namespace intaglio::recipes {

std::vector<DType> RuleQuantizer::widened_types() const {
  std::vector<DType> types;
  for (const RecipeRule& rule : rules_) {
    if (!rule.config) continue;
    PatternQuantizer quantizer = quantizer_;
    quantizer.set_global(*rule.config);
    for (const DType type : quantizer.widened_types())
      if (std::ranges::find(types, type) == types.end()) types.push_back(type);
  }
  return types;
}

void RuleQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  std::unordered_map<const Node*, const RecipeRule*> deciding;
  for (const Node* node : program.graph().node_list()) {
    const auto first = std::ranges::find_if(rules_, [&](const RecipeRule& rule) { return rule.match.matches(*node); });
    if (first != rules_.end()) deciding[node] = &*first;
  }
  for (const RecipeRule& rule : rules_) {
    if (!rule.config) continue;
    PatternQuantizer quantizer = quantizer_;
    quantizer.set_global(*rule.config);
    quantizer.set_filter_function([&](const Node& node) {
      const auto found = deciding.find(&node);
      return found != deciding.end() && found->second == &rule;
    });
    quantizer.annotate(program, annotations);
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
