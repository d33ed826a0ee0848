#include "backends/xnnpack/backend.h"

namespace intaglio::xnnpack {
namespace {

constexpr int64_t largest_group = int64_t{1} << 30;

std::vector<RecipeStep> steps(const SettingValues& settings, int64_t group_size, std::optional<DType> scale_dtype = std::nullopt) {
  QuantizeStep step{.rules = {}, .when_indivisible = when_indivisible_of(settings), .widened_types = {DType::bfloat16}};
  const IntxChooseQParamsAlgorithm algorithm = algorithm_of(settings);
  step.rules.push_back({is_linear, Int8DynamicActivationIntxWeightConfig{.weight_dtype = IntxType::int4,
                                                                         .weight_granularity = granularity_of(group_size),
                                                                         .weight_scale_dtype = scale_dtype,
                                                                         .intx_choose_qparams_algorithm = algorithm}});
  if (const std::string& type = settings.word("embedding"); type != "none")
    step.rules.push_back({is_embedding, IntxWeightOnlyConfig{.weight_dtype = static_cast<IntxType>(type.back() - '0'),
                                                             .granularity = granularity_of(settings.integer("embedding_group_size")),
                                                             .intx_choose_qparams_algorithm = algorithm}});
  return {std::move(step)};
}

std::vector<Setting> common_settings() {
  return {{"embedding", Setting::Type::word, "int8", "embedding tables, `none` leaves them in float", {"int8", "int4", "int2", "none"}},
          {"embedding_group_size",
           Setting::Type::integer,
           "0",
           "elements that share a scale in a table, 0 is a whole row",
           {},
           0,
           largest_group},
          when_indivisible_setting(),
          algorithm_setting()};
}

}  // namespace

std::vector<BackendRecipe> torchao_recipes() {
  std::vector<Setting> with_groups = {
      {"group_size", Setting::Type::integer, "32", "elements of a row that share a scale", {}, 2, largest_group},
      {"scale_dtype",
       Setting::Type::word,
       "weight",
       "of the linears' scales: `bfloat16`, which XNNPACK rounds them to, chooses the integers for the rounded ones",
       {"weight", "bfloat16"}}};
  for (Setting& setting : common_settings()) with_groups.push_back(std::move(setting));
  return {
      {"xnnpack_torchao_int8da_int4w_per_channel",
       "int4 linears with a scale per channel, their inputs int8 at run time, int8 embeddings: no calibration", false, common_settings(),
       [](const SettingValues& settings) { return steps(settings, 0); }},
      {"xnnpack_torchao_int8da_int4w_per_group",
       "int4 linears with a scale per group, their inputs int8 at run time, int8 embeddings: no calibration", false, std::move(with_groups),
       [](const SettingValues& settings) {
         const bool is_rounded = settings.word("scale_dtype") == "bfloat16";
         return steps(settings, settings.integer("group_size"), is_rounded ? std::optional(DType::bfloat16) : std::nullopt);
       },
       "xnnpack_torchao_int8da_int4w_per_tensor"}};
}

}  // namespace intaglio::xnnpack
