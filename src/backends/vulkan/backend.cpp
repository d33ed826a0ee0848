#include "backends/vulkan/backend.h"

#include <algorithm>

#include <intaglio/vulkan.h>
#include <intaglio/vulkan_quantizer.h>

#include "backends/common/widen_bfloat16.h"
#include "backends/vulkan/payload/decode_payload.h"
#include "backends/vulkan/payload/payload_names.h"
#include "backends/vulkan/payload/payload_reader.h"
#include "backends/vulkan/quantizing_recipes.h"
#include "backends/vulkan/representation.h"

namespace intaglio::vulkan {
namespace {

// Settings that are compile options: "unset" leaves the option out of the file.
constexpr const char* unset = "unset";
using Flag = std::optional<bool> VulkanPartitionerOptions::*;
struct FlagSetting {
  const char* name;
  Flag option;
  const char* help;
};
constexpr FlagSetting flag_settings[] = {
    {"force_fp16", &VulkanPartitionerOptions::force_fp16, "computes in float16; inputs and outputs stay float32"},
    {"small_texture_limits", &VulkanPartitionerOptions::small_texture_limits,
     "images of at most 2048 in each direction, as every device has"},
    {"downcast_64_bit", &VulkanPartitionerOptions::downcast_64_bit, "`false` leaves operators on 64-bit tensors outside"},
    {"require_dynamic_shapes", &VulkanPartitionerOptions::require_dynamic_shapes, "takes only operators that can be resized at run time"},
    {"skip_bool_tensors", &VulkanPartitionerOptions::skip_bool_tensors, "takes no operator that touches a bool tensor"},
    {"skip_tag_memory_metadata", &VulkanPartitionerOptions::skip_tag_memory_metadata, "leaves storage and layout to the runtime"},
    {"skip_memory_planning", &VulkanPartitionerOptions::skip_memory_planning, "gives every tensor memory of its own"},
};
constexpr const char* limit_names[] = {"texture_limit_x", "texture_limit_y", "texture_limit_z"};

Setting flag_setting(const FlagSetting& row, const char* value = unset) {
  return {row.name, Setting::Type::word, value, row.help, {unset, "false", "true"}};
}

template <typename T, size_t N>
Setting override_setting(const char* name, const Named<T> (&names)[N]) {
  std::vector<std::string> words = {unset};
  for (const auto& [value, word] : names)
    if (word != "default") words.emplace_back(word);
  return {name, Setting::Type::word, unset, "of tensors for which the compiler leaves it open", std::move(words)};
}

std::vector<Setting> settings() {
  std::vector<Setting> list = {compat_setting(), runtime_setting()};
  for (const FlagSetting& row : flag_settings) list.push_back(flag_setting(row));
  list.push_back(override_setting("storage_type_override", storage_names));
  list.push_back(override_setting("memory_layout_override", layout_names));
  for (const char* name : limit_names)
    list.push_back(
        {name, Setting::Type::integer, "0", "the largest extent of an image; 0: ExecuTorch's 16384 x 16384 x 2048", {}, 0, UINT32_MAX});
  return list;
}

template <typename T, size_t N>
std::optional<T> override_of(const SettingValues& settings, const char* name, const Named<T> (&names)[N]) {
  if (!settings.has(name) || settings.word(name) == unset) return std::nullopt;
  return std::ranges::find(names, std::string_view(settings.word(name)), &Named<T>::second)->first;
}

VulkanPartitionerOptions options_of(const SettingValues& settings) {
  VulkanPartitionerOptions options;
  for (const FlagSetting& row : flag_settings)
    if (settings.has(row.name) && settings.word(row.name) != unset) options.*row.option = settings.flag(row.name);
  options.storage_type_override = override_of(settings, "storage_type_override", storage_names);
  options.memory_layout_override = override_of(settings, "memory_layout_override", layout_names);
  TextureLimits limits = texture_limits({});
  bool is_limited = false;
  for (size_t i = 0; i < limits.size(); ++i)
    if (settings.has(limit_names[i]) && settings.integer(limit_names[i]) > 0) {
      limits[i] = settings.integer(limit_names[i]);
      is_limited = true;
    }
  if (is_limited) options.texture_limits = limits;
  return options;
}

std::vector<RecipeStep> float_steps(const SettingValues& settings) { return common::float_steps("Vulkan", settings); }

std::vector<BackendRecipe> recipes() {
  std::vector<BackendRecipe> list = {{.name = "vulkan_fp32", .summary = "float32, delegated to Vulkan", .steps = float_steps},
                                     {.name = "vulkan_fp16",
                                      .summary = "computed in float16 by Vulkan",
                                      .settings = {flag_setting(flag_settings[0], "true")},
                                      .steps = float_steps}};
  for (BackendRecipe& row : quantizing_recipes()) list.push_back(std::move(row));
  return list;
}

}  // namespace

Backend backend() {
  return {.name = "vulkan",
          .title = "Vulkan",
          .delegate_id = std::string(delegate_id),
          .settings = settings(),
          .recipes = recipes(),
          .partitioner = [](const SettingValues& settings) { return std::make_unique<VulkanPartitioner>(options_of(settings)); },
          .config_settings = config_settings(),
          .config = quantization_config,
          .quantizer = pattern_quantizer_rule<VulkanQuantizer>,
          .check = check_payload,
          .decode = decode_payload};
}

}  // namespace intaglio::vulkan
