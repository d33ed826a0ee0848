// The recipes that quantize with observers, and what a rule of a recipe file may say.
#pragma once

#include <memory>
#include <vector>

#include <intaglio/backend.h>

namespace intaglio::coreml {

// `coreml_pt2e_int8_static` and `coreml_pt2e_int8_weight_only`.
std::vector<BackendRecipe> pt2e_recipes();

// `Backend::config_settings`, `config` and `quantizer`.
std::vector<Setting> quantizer_settings();
QuantizationConfig quantizer_config(const SettingValues& settings);
std::unique_ptr<Quantizer> quantizer_of_rule(const QuantizationConfig& config, Compat compat, Backend::RuleNodes wanted);

}  // namespace intaglio::coreml
