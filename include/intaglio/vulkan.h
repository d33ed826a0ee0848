// The Vulkan backend.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/partitioner.h>
#include <intaglio/vulkan_quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio::vulkan {

constexpr std::string_view delegate_id = "VulkanBackend";

// How a tensor lies in the memory of the device: in a buffer or in an image whose texels hold four elements along one dimension.
enum class StorageType : uint8_t { buffer, texture_3d, texture_2d, default_storage = 255 };
enum class MemoryLayout : uint8_t {
  width_packed,
  height_packed,
  channels_packed,
  packed_int8_4w4c,
  packed_int8_4h4w,
  packed_int8_4w,
  packed_int8_4c,
  packed_int8_4c1w = 8,
  packed_int8_conv2d,
  default_layout = 255,
};

// The compile options of ExecuTorch's Vulkan backend, under their names. What is not given is not written into the file.
struct VulkanPartitionerOptions {
  std::optional<StorageType> storage_type_override;  // of tensors whose storage the compiler leaves open
  std::optional<MemoryLayout> memory_layout_override;
  std::optional<std::array<int64_t, 3>> texture_limits;  // largest extents of an image; default 16384, 16384, 2048
  std::optional<bool> small_texture_limits;              // 2048 each, which every device has; `texture_limits` goes before it
  std::optional<bool> force_fp16;                        // float32 inside becomes float16; inputs and outputs keep their type
  std::optional<bool> skip_tag_memory_metadata;          // leaves every tensor's storage to the runtime
  std::optional<bool> skip_memory_planning;              // every tensor has memory of its own
  std::optional<bool> downcast_64_bit;                   // int64 and float64 become 32 bits wide; default true
  std::optional<bool> require_dynamic_shapes;            // takes only operators that can be resized at run time
  std::optional<bool> skip_bool_tensors;                 // takes no operator that touches a bool tensor
  std::optional<bool> warmup_execute_after_compile;      // read by the runtime

  std::optional<std::vector<std::string>> operator_allowlist;  // "aten.add.Tensor": no other operator is taken
  std::vector<std::string> operator_blocklist;
  std::optional<std::vector<std::string>> nn_module_allowlist;  // parts of module types: nodes from no other module are taken
  std::vector<std::string> nn_module_blocklist;
};

class VulkanPartitioner : public Partitioner {
 public:
  // Unsupported errors for options that no file can be made with.
  explicit VulkanPartitioner(VulkanPartitionerOptions options = {});
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<VulkanPartitioner>(*this); }
  std::string_view backend_id() const override { return delegate_id; }
  bool keeps(const ExportedProgram& program, const Node& node) const override;
  void transform(ExportedProgram& program) const override;
  PartitionResult partition(const ExportedProgram& program) const override;
  std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const override;
  void check(std::span<const std::byte> payload) const override;

 private:
  VulkanPartitionerOptions options_;
};

}  // namespace intaglio::vulkan

#pragma GCC visibility pop
