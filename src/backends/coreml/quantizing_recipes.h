// The recipes that quantize with `quantize_`.
#pragma once

#include <vector>

#include <intaglio/backend.h>

namespace intaglio::coreml {

std::vector<BackendRecipe> quantizing_recipes();

// `minimum_deployment_target`; "unset" is iOS15.
Setting target_setting(std::string value);
// Usage error, with the target to ask for, where the settings name an older one.
void require_target(const SettingValues& settings, std::string_view target, std::string_view what);

}  // namespace intaglio::coreml
