// A user's recipe: an ordered list of rules, the first that matches a node decides.
#pragma once

#include <optional>
#include <vector>

#include <intaglio/backend.h>
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
  RuleQuantizer(const Backend& backend, Compat compat, std::vector<RecipeRule> rules)
      : quantizer_of_(backend.quantizer), compat_(compat), rules_(std::move(rules)) {}

  // Those of all rules: a program is prepared as a whole.
  std::vector<DType> widened_types() const override;
  void transform_for_annotation(ExportedProgram& program) const override;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;

 private:
  std::unique_ptr<Quantizer> quantizer_for(const QuantizationConfig& config, Backend::RuleNodes wanted = {}) const {
    return quantizer_of_(config, compat_, std::move(wanted));
  }

  decltype(Backend::quantizer) quantizer_of_;
  Compat compat_;
  std::vector<RecipeRule> rules_;
};

}  // namespace intaglio::recipes
