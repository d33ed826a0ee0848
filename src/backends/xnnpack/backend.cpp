#include "backends/xnnpack/backend.h"

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "backends/common/widen_bfloat16.h"
#include "backends/xnnpack/payload/payload_bytes.h"

namespace intaglio::xnnpack {
namespace {

struct RecipeRow {
  const char* name;
  const char* summary;
  SymmetricQuantizationOptions options;
};
constexpr RecipeRow quantizing_recipes[] = {
    {"xnnpack_pt2e_int8_static_per_channel", "int8 weights per channel, int8 activations from calibration", {.is_per_channel = true}},
    {"xnnpack_pt2e_int8_static_per_tensor", "int8 weights per tensor, int8 activations from calibration", {}},
    {"xnnpack_pt2e_int8_dynamic_per_channel",
     "int8 weights per channel, activations quantized at run time: no calibration",
     {.is_per_channel = true, .is_dynamic = true}},
    {"xnnpack_pt2e_int8_dynamic_per_tensor",
     "int8 weights per tensor, activations quantized at run time: no calibration",
     {.is_dynamic = true}},
};

Setting is_qat_setting() {
  return {"is_qat", Setting::Type::boolean, "false", "`true` is refused: quantization-aware training needs a training framework"};
}

constexpr std::string_view convolutions = "convolutions";

Setting convolutions_setting() {
  return {std::string(convolutions), Setting::Type::word, "int8", "`float` leaves them in float: closer, often slower", {"int8", "float"}};
}

bool is_no_convolution(const Node& node) { return !node.op().base().starts_with("conv"); }

BackendRecipe recipe(const RecipeRow& row) {
  const auto steps = [defaults = row.options](const SettingValues& settings) -> std::vector<RecipeStep> {
    SymmetricQuantizationOptions options = defaults;
    options.is_qat = settings.flag("is_qat");
    const Compat compat = compat_of(settings);
    auto quantizer = std::make_shared<XnnpackQuantizer>(compat);
    quantizer->set_global(get_symmetric_quantization_config(options));
    if (options.is_dynamic && settings.word(convolutions) == "float") quantizer->set_filter_function(is_no_convolution);
    return {Pt2eStep{std::move(quantizer), compat}};
  };
  std::vector<Setting> settings = {is_qat_setting()};
  if (row.options.is_dynamic) settings.push_back(convolutions_setting());
  return {row.name, row.summary, !row.options.is_dynamic, std::move(settings), steps};
}

BackendRecipe float_recipe() {
  return {"xnnpack_fp32", "float32, delegated to XNNPACK", false, {}, [](const SettingValues& settings) {
            return common::float_steps("XNNPACK", settings);
          }};
}

std::vector<BackendRecipe> recipes() {
  std::vector<BackendRecipe> list = {float_recipe()};
  for (const RecipeRow& row : quantizing_recipes) list.push_back(recipe(row));
  for (BackendRecipe& row : torchao_recipes()) list.push_back(std::move(row));
  return list;
}

Setting bound(const char* name, int64_t default_value) {
  return {name, Setting::Type::integer, std::to_string(default_value), "", {}, -128, 127};
}

std::vector<Setting> config_settings() {
  const SymmetricQuantizationOptions defaults;
  return {{"scheme", Setting::Type::word, "symmetric_int8", "", {"symmetric_int8"}},
          {"is_per_channel", Setting::Type::boolean, "false", ""},
          is_qat_setting(),
          {"is_dynamic", Setting::Type::boolean, "false", ""},
          bound("act_qmin", defaults.act_qmin),
          bound("act_qmax", defaults.act_qmax),
          bound("weight_qmin", defaults.weight_qmin),
          bound("weight_qmax", defaults.weight_qmax)};
}

QuantizationConfig config(const SettingValues& settings) {
  SymmetricQuantizationOptions options;
  options.is_per_channel = settings.flag("is_per_channel");
  options.is_qat = settings.flag("is_qat");
  options.is_dynamic = settings.flag("is_dynamic");
  options.act_qmin = settings.integer("act_qmin");
  options.act_qmax = settings.integer("act_qmax");
  options.weight_qmin = settings.integer("weight_qmin");
  options.weight_qmax = settings.integer("weight_qmax");
  if (options.act_qmin >= options.act_qmax || options.weight_qmin >= options.weight_qmax)
    throw_bad_input("a lower bound is not below its upper bound (see docs/recipes.md)");
  return get_symmetric_quantization_config(options);
}

}  // namespace

Backend backend() {
  return {.name = "xnnpack",
          .title = "XNNPACK",
          .delegate_id = std::string(delegate_id),
          .settings = {compat_setting(), runtime_setting()},
          .recipes = recipes(),
          .partitioner =
              [](const SettingValues& settings) {
                return std::make_unique<XnnpackPartitioner>(
                    XnnpackPartitionerOptions{.compat = compat_of(settings), .runtime = runtime_of(settings)});
              },
          .config_settings = config_settings(),
          .file_settings = {is_qat_setting()},
          .config = config,
          .quantizer = pattern_quantizer_rule<XnnpackQuantizer>,
          .check = check_payload_header,
          .decode = decode_payload};
}

}  // namespace intaglio::xnnpack
