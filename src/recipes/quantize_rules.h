// Rules of recipe files whose layers `quantize_` takes. Test: recipe_file tests of the registry; tests/test_quantize_api.py.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <intaglio/backend.h>
#include <intaglio/pattern_quantizer.h>
#include <intaglio/pt2e.h>
#include <intaglio/quantize_api.h>
#include <intaglio/settings.h>

namespace intaglio::recipes {

// What a configuration of that class may say: its fields, with torchao's defaults. Empty for a name that is no class.
std::vector<Setting> quantize_config_settings(std::string_view config_class);
std::vector<std::string_view> quantize_config_classes();
// `block_size` is CodebookWeightOnlyConfig's alone.
QuantizeConfig quantize_config(std::string_view config_class, const SettingValues& settings, std::vector<int64_t> block_size);

// What became of a layer, in a plan's words; and the rules that say so again, one for each configuration. Errors name the layer.
PlanLayer plan_layer(const QuantizedLayer& layer);
std::vector<QuantizeRule> rules_of(const std::vector<PlanLayer>& layers);

// The layers that a rule means: linear ones, unless it names an operator, a type of module or a layer itself.
LayerFilter layer_filter(NodeSelector match);

}  // namespace intaglio::recipes
