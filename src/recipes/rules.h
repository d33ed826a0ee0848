// A user's recipe: an ordered list of rules, the first that matches a node decides.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <intaglio/pt2e.h>
#include <intaglio/quantizer.h>

namespace intaglio {

// Every part that is given must match.
struct RuleMatch {
  std::optional<std::string> module_name;  // glob over the path of the module or any module around it: `features.*`
  std::optional<std::string> module_type;  // qualified, or its last part: `Conv2d`
  std::optional<std::string> op;           // `aten.linear.default`, or `linear`
};

struct RecipeRule {
  RuleMatch match;
  std::optional<QuantizationConfig> config;  // absent: stays in float
  std::string text;                          // for the plan: which rule decided
};

// `*` stands for any characters, `?` for one.
bool glob_matches(std::string_view pattern, std::string_view text);
bool matches(const RuleMatch& match, const Node& node);

// One XNNPACK quantizer for each rule, restricted to the nodes that the rule is the first to match.
class RuleQuantizer : public Quantizer {
 public:
  RuleQuantizer(std::vector<RecipeRule> rules, Compat compat);

  void transform_for_annotation(ExportedProgram& program) const override;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;
  void validate(const ExportedProgram& program, const Annotations& annotations) const override;

 private:
  std::vector<RecipeRule> rules_;
  Compat compat_;
};

}  // namespace intaglio
