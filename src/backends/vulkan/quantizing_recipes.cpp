#include "backends/vulkan/quantizing_recipes.h"

#include <fmt/format.h>

#include <intaglio/error.h>
#include <intaglio/vulkan_quantizer.h>

#include "backends/common/torchao_recipes.h"

namespace intaglio::vulkan {
namespace {

constexpr int64_t group_multiple = 4;  // the runtime reads so many weights with one scale

Setting weight_bits_setting() { return {"weight_bits", Setting::Type::integer, "8", "bits of a weight: 8 or 4", {}, 1, 8}; }

// The bound of the bits where nothing is given.
Setting bound(const char* name) { return {name, Setting::Type::integer, "", "", {}, -128, 127}; }
std::optional<int64_t> bound_of(const SettingValues& settings, const char* name) {
  return settings.word(name).empty() ? std::nullopt : std::optional(settings.integer(name));
}

std::vector<RecipeStep> weight_only_steps(const SettingValues& settings) {
  const Compat compat = compat_of(settings);
  auto quantizer = std::make_shared<VulkanQuantizer>(compat);
  quantizer->set_global(get_symmetric_quantization_config({.weight_bits = settings.integer("weight_bits")}));
  return {Pt2eStep{std::move(quantizer), compat}};
}

WeightGranularity granularity(const SettingValues& settings) {
  const int64_t group_size = settings.integer("group_size");
  if (group_size % group_multiple != 0)
    throw_usage(
        fmt::format("setting group_size={}: Vulkan takes multiples of {}, 32 is usual, 0 is a whole row", group_size, group_multiple));
  return granularity_of(group_size);
}

std::vector<RecipeStep> dynamic_steps(const SettingValues& settings) {
  return {common::torchao_step(settings, Int8DynamicActivationIntxWeightConfig{.weight_dtype = IntxType::int4,
                                                                               .weight_granularity = granularity(settings),
                                                                               .intx_choose_qparams_algorithm = algorithm_of(settings)})};
}

std::vector<RecipeStep> float_input_steps(const SettingValues& settings) {
  return {common::torchao_step(settings, IntxWeightOnlyConfig{.weight_dtype = IntxType::int4,
                                                              .granularity = granularity(settings),
                                                              .intx_choose_qparams_algorithm = algorithm_of(settings)})};
}

}  // namespace

std::vector<BackendRecipe> quantizing_recipes() {
  std::vector<Setting> settings = {common::group_size_setting(0)};
  for (Setting& setting : common::torchao_settings()) settings.push_back(std::move(setting));
  return {
      {"vulkan_pt2e_int8_weight_only",
       "int8 weights of linears with a scale per channel, everything else in float: no calibration",
       false,
       {weight_bits_setting()},
       weight_only_steps},
      {"vulkan_torchao_int8da_int4w_per_group",
       "int4 linears with a scale per group, their inputs int8 at run time, int8 embeddings: no calibration", false, settings,
       dynamic_steps},
      {"vulkan_torchao_int4_weight_only_per_group",
       "int4 linears with a scale per group, their inputs in float, int8 embeddings: no calibration", false, settings, float_input_steps}};
}

std::vector<Setting> config_settings() {
  return {{"scheme", Setting::Type::word, "symmetric_int8", "", {"symmetric_int8"}},
          {"is_dynamic", Setting::Type::boolean, "false", ""},
          weight_bits_setting(),
          bound("act_qmin"),
          bound("act_qmax"),
          bound("weight_qmin"),
          bound("weight_qmax")};
}

QuantizationConfig quantization_config(const SettingValues& settings) {
  return get_symmetric_quantization_config({.is_dynamic = settings.flag("is_dynamic"),
                                            .weight_bits = settings.integer("weight_bits"),
                                            .act_qmin = bound_of(settings, "act_qmin"),
                                            .act_qmax = bound_of(settings, "act_qmax"),
                                            .weight_qmin = bound_of(settings, "weight_qmin"),
                                            .weight_qmax = bound_of(settings, "weight_qmax")});
}

}  // namespace intaglio::vulkan
