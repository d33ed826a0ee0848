#include "backends/xnnpack/backend.h"

#include "backends/common/torchao_recipes.h"

namespace intaglio::xnnpack {
namespace {

std::vector<RecipeStep> steps(const SettingValues& settings, int64_t group_size, std::optional<DType> scale_dtype = std::nullopt) {
  return {common::torchao_step(settings, Int8DynamicActivationIntxWeightConfig{.weight_dtype = IntxType::int4,
                                                                               .weight_granularity = granularity_of(group_size),
                                                                               .weight_scale_dtype = scale_dtype,
                                                                               .intx_choose_qparams_algorithm = algorithm_of(settings)})};
}

}  // namespace

std::vector<BackendRecipe> torchao_recipes() {
  std::vector<Setting> with_groups = {
      common::group_size_setting(2),
      {"scale_dtype",
       Setting::Type::word,
       "weight",
       "of the linears' scales: `bfloat16`, which XNNPACK rounds them to, chooses the integers for the rounded ones",
       {"weight", "bfloat16"}}};
  for (Setting& setting : common::torchao_settings()) with_groups.push_back(std::move(setting));
  return {
      {"xnnpack_torchao_int8da_int4w_per_channel",
       "int4 linears with a scale per channel, their inputs int8 at run time, int8 embeddings: no calibration", false,
       common::torchao_settings(), [](const SettingValues& settings) { return steps(settings, 0); }},
      {"xnnpack_torchao_int8da_int4w_per_group",
       "int4 linears with a scale per group, their inputs int8 at run time, int8 embeddings: no calibration", false, std::move(with_groups),
       [](const SettingValues& settings) {
         const bool is_rounded = settings.word("scale_dtype") == "bfloat16";
         return steps(settings, settings.integer("group_size"), is_rounded ? std::optional(DType::bfloat16) : std::nullopt);
       },
       "xnnpack_torchao_int8da_int4w_per_tensor"}};
}

}  // namespace intaglio::xnnpack
