// What recipes that quantize with `quantize_` have in common: settings, and the step that they make.
#pragma once

#include <vector>

#include <intaglio/backend.h>

namespace intaglio::common {

// Elements that share a scale in a linear's weight; `smallest` of them at least, 0 is a whole row.
Setting group_size_setting(int64_t smallest);
// Of embedding tables, of layers that the groups do not divide, and of how scales are found.
std::vector<Setting> torchao_settings();
// Linears as `linears` says, tables as the settings say.
QuantizeStep torchao_step(const SettingValues& settings, QuantizeConfig linears);

}  // namespace intaglio::common
