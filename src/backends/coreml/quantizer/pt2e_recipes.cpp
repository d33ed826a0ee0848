#include "backends/coreml/quantizer/pt2e_recipes.h"

#include <algorithm>

#include <intaglio/coreml_quantizer.h>

#include "backends/coreml/quantizing_recipes.h"

namespace intaglio::coreml {

namespace pt2e_rows {
namespace {

constexpr const char* oldest_target = "iOS17";

// Words in the order of their enumerations.
Setting scheme_setting() {
  return {
      "quantization_scheme", Setting::Type::word, "symmetric", "whether ranges lie around 0, or where values are", {"symmetric", "affine"}};
}
Setting weight_dtype_setting() {
  return {"weight_dtype", Setting::Type::word, "qint8", "integers of a weight; 4 bits need iOS18", {"qint8", "quint8", "qint4", "quint4"}};
}
Setting per_channel_setting() {
  return {"weight_per_channel", Setting::Type::boolean, "true", "a scale for each output channel of a weight, or one for all of it"};
}
Setting activation_dtype_setting() {
  return {"activation_dtype", Setting::Type::word, "quint8", "`float32` quantizes weights alone", {"quint8", "float32"}};
}
Setting observer_setting(const char* name) {
  return {name, Setting::Type::word, "moving_average_min_max", "how a range is found", {"moving_average_min_max", "min_max"}};
}

template <typename T>
T word_of(const SettingValues& settings, const Setting& setting, T fallback) {
  if (!settings.has(setting.name)) return fallback;
  return static_cast<T>(std::ranges::find(setting.words, settings.word(setting.name)) - setting.words.begin());
}

ModuleLinearQuantizerConfig config_of(const SettingValues& settings, ActivationDType activation) {
  ModuleLinearQuantizerConfig config;
  config.quantization_scheme = word_of(settings, scheme_setting(), config.quantization_scheme);
  config.weight_dtype = word_of(settings, weight_dtype_setting(), config.weight_dtype);
  config.weight_per_channel = settings.flag("weight_per_channel");
  config.activation_dtype = word_of(settings, activation_dtype_setting(), activation);
  config.weight_observer = word_of(settings, observer_setting("weight_observer"), config.weight_observer);
  config.activation_observer = word_of(settings, observer_setting("activation_observer"), config.activation_observer);
  return config;
}

std::vector<RecipeStep> steps(const SettingValues& settings, ActivationDType activation) {
  require_target(settings, oldest_target, "integers of observers");
  const Compat compat = compat_of(settings);
  LinearQuantizerConfig config;
  config.global_config = config_of(settings, activation);
  return {Pt2eStep{std::make_shared<CoreMLQuantizer>(config, compat), compat}};
}
std::vector<RecipeStep> static_steps(const SettingValues& settings) { return steps(settings, ActivationDType::quint8); }
std::vector<RecipeStep> weight_only_steps(const SettingValues& settings) { return steps(settings, ActivationDType::float32); }

}  // namespace
}  // namespace pt2e_rows

std::vector<BackendRecipe> pt2e_recipes() {
  const std::vector<Setting> settings = {target_setting(pt2e_rows::oldest_target), pt2e_rows::scheme_setting(),
                                         pt2e_rows::per_channel_setting()};
  return {
      {"coreml_pt2e_int8_static", "8-bit weights and activations, with ranges found on samples", true, settings, pt2e_rows::static_steps},
      {"coreml_pt2e_int8_weight_only", "int8 weights of convolutions and linears, everything else in float: no calibration", false,
       settings, pt2e_rows::weight_only_steps}};
}

std::vector<Setting> quantizer_settings() {
  return {pt2e_rows::scheme_setting(),
          pt2e_rows::weight_dtype_setting(),
          pt2e_rows::per_channel_setting(),
          pt2e_rows::activation_dtype_setting(),
          pt2e_rows::observer_setting("weight_observer"),
          pt2e_rows::observer_setting("activation_observer")};
}

QuantizationConfig quantizer_config(const SettingValues& settings) {
  return get_quantization_config(pt2e_rows::config_of(settings, ActivationDType::quint8));
}

// The original knows weights of 8 bits alone, whatever the configuration says.
std::unique_ptr<Quantizer> quantizer_of_rule(const QuantizationConfig& config, Compat compat, Backend::RuleNodes wanted) {
  QuantizationConfig known = config;
  if (compat == Compat::torchao && known.weight) known.weight->quant_min = known.weight->quant_max = std::nullopt;
  return pattern_quantizer_rule<CoreMLQuantizer>(known, compat, std::move(wanted));
}

}  // namespace intaglio::coreml
