#include "backends/coreml/backend.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/coreml.h>
#include <intaglio/error.h>

#include "backends/common/widen_bfloat16.h"
#include "backends/coreml/compile_specs.h"
#include "backends/coreml/enumerated_shapes.h"
#include "backends/coreml/payload/decode_payload.h"
#include "backends/coreml/payload/payload.h"
#include "backends/coreml/quantizer/pt2e_recipes.h"
#include "backends/coreml/quantizing_recipes.h"

namespace intaglio::coreml {
namespace {

constexpr const char* unset = "unset";

template <typename T, size_t N>
Setting named_setting(const char* name, const char* value, const char* help, const Named<T> (&names)[N]) {
  std::vector<std::string> words;
  for (const auto& [key, word] : names) words.emplace_back(word);
  return {name, Setting::Type::word, value, help, std::move(words)};
}

template <typename T, size_t N>
T named(const SettingValues& settings, const char* name, const Named<T> (&names)[N]) {
  return std::ranges::find(names, std::string_view(settings.word(name)), &Named<T>::second)->first;
}

Setting precision_setting(const char* value) {
  return named_setting("compute_precision", value, "what float32 numbers are computed in", precision_names);
}

// Options of ExecuTorch's that are refused: what coremltools' passes do to a converted model.
struct RefusedRow {
  const char *name, *help, *remedy;
};
constexpr RefusedRow refused[] = {
    {"op_linear_quantizer_config", "is refused: recipes quantize weights",
     "weights are quantized before they are lowered: give --recipe coreml_torchao_int8_weight_only_per_channel (linears), "
     "coreml_pt2e_int8_weight_only (convolutions too) or a recipe file to `build`"},
    {"pass_pipeline", "is refused: the passes are Intaglio's own",
     "it orders passes of coremltools, of which none runs here; leave it out, or write a package with --emit mlpackage and run them on "
     "that"}};

std::vector<Setting> settings() {
  return {
      compat_setting(),
      target_setting(unset),
      named_setting("compute_unit", "all", "what may run the model", unit_names),
      precision_setting("float16"),
      named_setting("model_type", "model", "`compiled_model` is made on macOS alone", model_type_names),
      {"take_over_mutable_buffer", Setting::Type::boolean, "true", "buffers that are written become the model's state, from iOS18 on"},
      named_setting("multimethod_weight_sharing_strategy", "positional",
                    "`positional`: delegates of several methods are functions of one model, from iOS18 on", sharing_names),
      {"enumerated_shapes", Setting::Type::word, "", "the only shapes of inputs, as JSON: {\"x\": [[1, 8], [1, 16]]}"},
      {"lower_full_graph", Setting::Type::boolean, "false", "an operator that Core ML does not take is an error"},
      {"skip_ops_for_coreml_delegation", Setting::Type::word, "", "operators that are left to others, parted by commas: aten.relu.default"},
      {refused[0].name, Setting::Type::word, "", refused[0].help},
      {refused[1].name, Setting::Type::word, "", refused[1].help}};
}

std::vector<std::string> listed(const std::string& text) {
  std::vector<std::string> names;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    if (end > start) names.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return names;
}

CoreMLPartitionerOptions options_of(const SettingValues& settings) {
  for (const auto& [name, help, remedy] : refused)
    if (!settings.word(name).empty()) throw_usage(fmt::format("setting {}: {}", name, remedy));
  CoreMLPartitionerOptions options;
  if (const std::string& target = settings.word("minimum_deployment_target"); target != unset)
    options.minimum_deployment_target = static_cast<DeploymentTarget>(std::ranges::find(versions, target, &VersionRow::target)->version);
  options.compute_unit = named(settings, "compute_unit", unit_names);
  options.compute_precision = named(settings, "compute_precision", precision_names);
  options.model_type = named(settings, "model_type", model_type_names);
  options.multimethod_weight_sharing_strategy = named(settings, "multimethod_weight_sharing_strategy", sharing_names);
  options.enumerated_shapes = parse_enumerated_shapes(settings.word("enumerated_shapes"));
  options.take_over_mutable_buffer = settings.flag("take_over_mutable_buffer");
  options.lower_full_graph = settings.flag("lower_full_graph");
  options.skip_ops_for_coreml_delegation = listed(settings.word("skip_ops_for_coreml_delegation"));
  return options;
}

std::vector<RecipeStep> float_steps(const SettingValues& settings) { return common::float_steps("Core ML", settings); }

std::vector<BackendRecipe> recipes() {
  std::vector<BackendRecipe> list = {
      {.name = "coreml_fp32", .summary = "float32, delegated to Core ML", .settings = {precision_setting("float32")}, .steps = float_steps},
      {.name = "coreml_fp16",
       .summary = "computed in float16 by Core ML",
       .settings = {precision_setting("float16")},
       .steps = float_steps}};
  std::ranges::move(pt2e_recipes(), std::back_inserter(list));
  std::ranges::move(quantizing_recipes(), std::back_inserter(list));
  return list;
}

}  // namespace

Backend backend() {
  return {.name = "coreml",
          .title = "Core ML",
          .delegate_id = std::string(delegate_id),
          .settings = settings(),
          .recipes = recipes(),
          .partitioner = [](const SettingValues& settings) { return std::make_unique<CoreMLPartitioner>(options_of(settings)); },
          .config_settings = quantizer_settings(),
          .config = quantizer_config,
          .quantizer = quantizer_of_rule,
          .check = check_payload,
          .decode = decode_payload};
}

}  // namespace intaglio::coreml
