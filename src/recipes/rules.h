// A user's recipe: an ordered list of rules, the first that matches a node decides.
#pragma once

#include <optional>
#include <vector>

#include <intaglio/pattern_quantizer.h>
#include <intaglio/quantize_api.h>

namespace intaglio::recipes {

struct RecipeRule {
  NodeSelector match;
  std::optional<QuantizationConfig> config;  // absent: stays in float, unless `quantize_` takes it
  std::optional<QuantizeConfig> quantize = std::nullopt;
};

// A backend's quantizer once for each rule, restricted to the nodes that the rule is the first to match.
class RuleQuantizer : public Quantizer {
 public:
  RuleQuantizer(PatternQuantizer quantizer, std::vector<RecipeRule> rules) : quantizer_(std::move(quantizer)), rules_(std::move(rules)) {}

  // Those of all rules: a program is prepared as a whole.
  std::vector<DType> widened_types() const override;
  void transform_for_annotation(ExportedProgram& program) const override { quantizer_.transform_for_annotation(program); }
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;

 private:
  PatternQuantizer quantizer_;
  std::vector<RecipeRule> rules_;
};

}  // namespace intaglio::recipes
