// The step of float recipes that gives a backend without bfloat16 a program in float32.
#pragma once

#include <string>

#include <intaglio/backend.h>

namespace intaglio::common {

// Nothing under `compat=torchao`. `title`: the backend's, for what is said.
std::vector<RecipeStep> float_steps(const std::string& title, const SettingValues& settings);

}  // namespace intaglio::common
