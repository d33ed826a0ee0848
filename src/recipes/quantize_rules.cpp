#include "recipes/quantize_rules.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

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

namespace {

std::string text_of(MappingType mapping) {
  if (mapping == MappingType::asymmetric) return "asymmetric";
  return mapping == MappingType::symmetric ? "symmetric" : "symmetric_no_clipping_err";
}

std::vector<std::pair<std::string, std::string>> intx_texts(IntxType type, const WeightGranularity& granularity, MappingType mapping,
                                                            std::optional<DType> scale_dtype, IntxChooseQParamsAlgorithm algorithm) {
  const auto* group = std::get_if<PerGroup>(&granularity);
  return {{"weight_dtype", fmt::format("int{}", static_cast<int>(type))},
          {"group_size", fmt::format("{}", group == nullptr ? 0 : group->group_size)},
          {"mapping_type", text_of(mapping)},
          {"scale_dtype", std::string(scale_dtype ? name(*scale_dtype) : no_scale_dtype)},
          {algorithm_setting().name, algorithm_setting().words.at(static_cast<size_t>(algorithm))}};
}

// "[16,-1]".
std::vector<int64_t> block_size_of(const PlanLayer& layer, const std::string& text) {
  int64_t rows = 0, columns = 0;
  int end = 0;
  if (std::sscanf(text.c_str(), "[%ld,%ld]%n", &rows, &columns, &end) != 2 || static_cast<size_t>(end) != text.size())
    throw_bad_input(fmt::format("plan layer '{}': 'block_size' is '{}', expected rows and columns, as in [16,-1]", escaped(layer.layer),
                                escaped(text)));
  return {rows, columns};
}

QuantizeConfig config_of(const PlanLayer& layer) {
  const std::vector<Setting> known = quantize_config_settings(layer.config);
  if (known.empty())
    throw_bad_input(fmt::format("plan layer '{}': 'quantize_' is '{}', expected {}", escaped(layer.layer), escaped(layer.config),
                                fmt::join(quantize_config_classes(), ", ")));
  RecipeSettings given(layer.settings.begin(), layer.settings.end());
  std::vector<int64_t> block_size;
  if (const auto block = given.find("block_size"); layer.config == codebook && block != given.end()) {
    block_size = block_size_of(layer, block->second);
    given.erase(block);
  }
  try {
    return quantize_config(layer.config, SettingValues(known, given, fmt::format("plan layer '{}'", escaped(layer.layer))),
                           std::move(block_size));
  } catch (const Error& error) { throw_bad_input(error.what()); }  // the file is at fault, not the command line
}

}  // namespace

PlanLayer plan_layer(const QuantizedLayer& layer) {
  PlanLayer result{layer.fqn, layer.node, "", {}};
  if (const auto* only = std::get_if<IntxWeightOnlyConfig>(&layer.config)) {
    result.config = weight_only;
    result.settings =
        intx_texts(only->weight_dtype, only->granularity, only->mapping_type, only->scale_dtype, only->intx_choose_qparams_algorithm);
  } else if (const auto* both = std::get_if<Int8DynamicActivationIntxWeightConfig>(&layer.config)) {
    result.config = dynamic;
    result.settings = intx_texts(both->weight_dtype, both->weight_granularity, both->weight_mapping_type, both->weight_scale_dtype,
                                 both->intx_choose_qparams_algorithm);
  } else {
    const auto& book = std::get<CodebookWeightOnlyConfig>(layer.config);
    result.config = codebook;
    result.settings = {{"dtype", fmt::format("uint{}", static_cast<int>(book.dtype))},
                       {"block_size", fmt::format("[{}]", fmt::join(book.block_size, ","))}};
  }
  return result;
}

std::vector<QuantizeRule> rules_of(const std::vector<PlanLayer>& layers) {
  std::map<std::pair<std::string, decltype(PlanLayer::settings)>, std::unordered_set<std::string>> nodes;
  std::vector<QuantizeRule> rules;
  for (const PlanLayer& layer : layers) nodes[{layer.config, layer.settings}].insert(layer.node);
  for (auto& [config, names] : nodes)
    rules.push_back({[names](const QuantizableLayer& layer) { return names.contains(layer.node->name()); },
                     config_of({*names.begin(), "", config.first, config.second}), ""});
  return rules;
}

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
    // As in torchao: a name that is a layer's own takes whatever it is, a pattern linears alone.
    return match.matches(*layer.node) && (match.op || match.module_type || match.module_glob == layer.fqn || is_linear(layer));
  };
}

}  // namespace intaglio::recipes
