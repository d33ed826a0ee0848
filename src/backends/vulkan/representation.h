// How a tensor may lie on the device: sets of (storage, layout), and which of them an image of limited size can hold.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>

#include <intaglio/vulkan.h>

namespace intaglio::vulkan {

struct Representation {
  StorageType storage = StorageType::default_storage;
  MemoryLayout layout = MemoryLayout::default_layout;
  friend auto operator<=>(const Representation&, const Representation&) = default;
};

class Representations {
 public:
  constexpr Representations() = default;
  static constexpr Representations of(StorageType storage, MemoryLayout layout) {
    Representations set;
    (storage == StorageType::buffer ? set.buffers_ : set.textures_) = static_cast<uint16_t>(1U << static_cast<unsigned>(layout));
    return set;
  }
  static constexpr Representations of(const Representation& one) { return of(one.storage, one.layout); }

  friend constexpr Representations operator|(Representations a, Representations b) {
    a.buffers_ |= b.buffers_;
    a.textures_ |= b.textures_;
    return a;
  }
  friend constexpr Representations operator&(Representations a, Representations b) {
    a.buffers_ &= b.buffers_;
    a.textures_ &= b.textures_;
    return a;
  }
  friend constexpr bool operator==(const Representations&, const Representations&) = default;

  constexpr bool empty() const { return buffers_ == 0 && textures_ == 0; }
  // At most one, so that nothing is left to choose.
  constexpr bool settled() const { return std::popcount(buffers_) + std::popcount(textures_) <= 1; }
  constexpr Representations buffers() const { return {buffers_, 0}; }
  constexpr Representations textures() const { return {0, textures_}; }
  // An image before a buffer, then the layout with the smallest number; of an empty set the runtime's own choice.
  Representation first() const;

 private:
  constexpr Representations(uint16_t buffers, uint16_t textures) : buffers_(buffers), textures_(textures) {}
  uint16_t buffers_ = 0, textures_ = 0;  // a bit for each layout
};

namespace representations {
inline constexpr Representations none;
inline constexpr auto width_buffer = Representations::of(StorageType::buffer, MemoryLayout::width_packed);
inline constexpr auto width_texture = Representations::of(StorageType::texture_3d, MemoryLayout::width_packed);
inline constexpr auto height_texture = Representations::of(StorageType::texture_3d, MemoryLayout::height_packed);
inline constexpr auto channels_texture = Representations::of(StorageType::texture_3d, MemoryLayout::channels_packed);
inline constexpr auto contiguous = width_buffer | width_texture;
inline constexpr auto any_texture = width_texture | height_texture | channels_texture;
inline constexpr auto any_buffer = width_buffer | Representations::of(StorageType::buffer, MemoryLayout::height_packed) |
                                   Representations::of(StorageType::buffer, MemoryLayout::channels_packed);
inline constexpr auto any = any_buffer | any_texture;
}  // namespace representations

using TextureLimits = std::array<int64_t, 3>;
TextureLimits texture_limits(const VulkanPartitionerOptions& options);

// Width, height and depth of the image that holds a tensor of at most four dimensions.
std::array<int64_t, 3> texture_extents(std::span<const int64_t> sizes, MemoryLayout layout);
bool fits(std::span<const int64_t> sizes, MemoryLayout layout, const TextureLimits& limits);

// Those of the set that a tensor of these sizes can have: a buffer takes any tensor.
Representations that_fit(Representations set, std::span<const int64_t> sizes, const TextureLimits& limits);

}  // namespace intaglio::vulkan
