#include "recipes/quantize_rules.h"

#include <algorithm>

namespace intaglio::recipes {
namespace {

constexpr std::string_view weight_only = "IntxWeightOnlyConfig", dynamic = "Int8DynamicActivationIntxWeightConfig",
                           codebook = "CodebookWeightOnlyConfig";
constexpr std::string_view no_scale_dtype = "weight";

std::vector<std::string> widths(const std::string& prefix) {
  std::vector<std::string> names;
  for (int bits = 1; bits <= 8; ++bits) names.push_back(prefix + std::to_string(bits));
  return names;
}
int width_of(const std::string& name) { return name.back() - '0'; }

std::vector<Setting> intx_settings(const char* group_size) {
  return {{"weight_dtype", Setting::Type::word, "int8", "", widths("int")},
          {"group_size", Setting::Type::integer, group_size, "0: a scale for each row", {}, 0, 1 << 30},
          {"mapping_type", Setting::Type::word, "symmetric", "", {"symmetric", "symmetric_no_clipping_err", "asymmetric"}},
          {"scale_dtype",
           Setting::Type::word,
           std::string(no_scale_dtype),
           "",
           {std::string(no_scale_dtype), "float32", "float16", "bfloat16"}},
          algorithm_setting()};
}

MappingType mapping_of(const std::string& word) {
  if (word == "asymmetric") return MappingType::asymmetric;
  return word == "symmetric" ? MappingType::symmetric : MappingType::symmetric_no_clipping_err;
}

}  // namespace

std::vector<std::string_view> quantize_config_classes() { return {weight_only, dynamic, codebook}; }

std::vector<Setting> quantize_config_settings(std::string_view config_class) {
  if (config_class == weight_only) return intx_settings("0");
  if (config_class == dynamic) return intx_settings("32");
  if (config_class == codebook) return {{"dtype", Setting::Type::word, "uint4", "", widths("uint")}};
  return {};
}

QuantizeConfig quantize_config(std::string_view config_class, const SettingValues& settings, std::vector<int64_t> block_size) {
  if (config_class == codebook)
    return CodebookWeightOnlyConfig{static_cast<UintxType>(width_of(settings.word("dtype"))), std::move(block_size)};
  const auto type = static_cast<IntxType>(width_of(settings.word("weight_dtype")));
  const WeightGranularity granularity = granularity_of(settings.integer("group_size"));
  const MappingType mapping = mapping_of(settings.word("mapping_type"));
  const auto algorithm = algorithm_of(settings);
  std::optional<DType> scale_dtype;
  if (settings.word("scale_dtype") != no_scale_dtype) scale_dtype = dtype_from_name(settings.word("scale_dtype"));
  if (config_class == weight_only) return IntxWeightOnlyConfig{type, granularity, mapping, scale_dtype, algorithm};
  return Int8DynamicActivationIntxWeightConfig{.weight_dtype = type,
                                               .weight_granularity = granularity,
                                               .weight_mapping_type = mapping,
                                               .weight_scale_dtype = scale_dtype,
                                               .intx_choose_qparams_algorithm = algorithm};
}

LayerFilter layer_filter(NodeSelector match) {
  return [match = std::move(match)](const QuantizableLayer& layer) {
    return match.matches(*layer.node) && (match.op || match.module_type || is_linear(layer));
  };
}

}  // namespace intaglio::recipes
