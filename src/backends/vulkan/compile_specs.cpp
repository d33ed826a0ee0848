#include "backends/vulkan/compile_specs.h"

#include <cstring>

namespace intaglio::vulkan {
namespace {

struct FlagRow {
  const char* key;
  std::optional<bool> VulkanPartitionerOptions::*option;
};
constexpr FlagRow flags[] = {
    {"small_texture_limits", &VulkanPartitionerOptions::small_texture_limits},
    {"force_fp16", &VulkanPartitionerOptions::force_fp16},
    {"skip_tag_memory_metadata", &VulkanPartitionerOptions::skip_tag_memory_metadata},
    {"skip_memory_planning", &VulkanPartitionerOptions::skip_memory_planning},
    {"downcast_64_bit", &VulkanPartitionerOptions::downcast_64_bit},
    {"require_dynamic_shapes", &VulkanPartitionerOptions::require_dynamic_shapes},
    {"skip_bool_tensors", &VulkanPartitionerOptions::skip_bool_tensors},
    {"warmup_execute_after_compile", &VulkanPartitionerOptions::warmup_execute_after_compile},
};

template <typename T>
CompileSpec spec(const char* key, T value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return {key, std::move(bytes)};
}

}  // namespace

std::vector<CompileSpec> compile_specs(const VulkanPartitionerOptions& options) {
  std::vector<CompileSpec> specs;
  if (options.storage_type_override) specs.push_back(spec("storage_type_override", static_cast<uint32_t>(*options.storage_type_override)));
  if (options.memory_layout_override)
    specs.push_back(spec("memory_layout_override", static_cast<uint32_t>(*options.memory_layout_override)));
  if (options.texture_limits) {
    constexpr const char* keys[] = {"texture_limits_x", "texture_limits_y", "texture_limits_z"};
    for (size_t i = 0; i < 3; ++i) specs.push_back(spec(keys[i], static_cast<uint32_t>((*options.texture_limits)[i])));
  }
  for (const FlagRow& row : flags)
    if (const std::optional<bool>& value = options.*row.option) specs.push_back(spec(row.key, static_cast<uint8_t>(*value)));
  return specs;
}

}  // namespace intaglio::vulkan
