#include "backends/vulkan/representation.h"

namespace intaglio::vulkan {

Representation Representations::first() const {
  if (empty()) return {};
  const uint16_t layouts = textures_ != 0 ? textures_ : buffers_;
  return {textures_ != 0 ? StorageType::texture_3d : StorageType::buffer, static_cast<MemoryLayout>(std::countr_zero(layouts))};
}

TextureLimits texture_limits(const VulkanPartitionerOptions& options) {
  constexpr TextureLimits usual = {16384, 16384, 2048}, everywhere = {2048, 2048, 2048};
  return options.texture_limits.value_or(options.small_texture_limits.value_or(false) ? everywhere : usual);
}

std::array<int64_t, 3> texture_extents(std::span<const int64_t> sizes, MemoryLayout layout) {
  std::array<int64_t, 3> extents = {1, 1, 1};  // width, height, channels
  for (size_t i = 0; i < 3 && i < sizes.size(); ++i) extents[i] = sizes[sizes.size() - 1 - i];
  int64_t& packed = extents[static_cast<size_t>(layout)];
  packed = (packed + 3) / 4;
  if (sizes.size() >= 4) extents[2] *= sizes.front();
  return extents;
}

bool fits(std::span<const int64_t> sizes, MemoryLayout layout, const TextureLimits& limits) {
  if (sizes.size() > 4 || layout > MemoryLayout::channels_packed) return false;
  const auto extents = texture_extents(sizes, layout);
  return extents[0] <= limits[0] && extents[1] <= limits[1] && extents[2] <= limits[2];
}

Representations that_fit(Representations set, std::span<const int64_t> sizes, const TextureLimits& limits) {
  Representations result = set.buffers();
  for (const MemoryLayout layout : {MemoryLayout::width_packed, MemoryLayout::height_packed, MemoryLayout::channels_packed})
    if (fits(sizes, layout, limits)) result = result | (set & Representations::of(StorageType::texture_3d, layout));
  return result;
}

}  // namespace intaglio::vulkan
