// The recipes that quantize, and what a rule of a recipe file may say.
#pragma once

#include <vector>

#include <intaglio/backend.h>

namespace intaglio::vulkan {

std::vector<BackendRecipe> quantizing_recipes();

std::vector<Setting> config_settings();
QuantizationConfig quantization_config(const SettingValues& settings);

}  // namespace intaglio::vulkan
