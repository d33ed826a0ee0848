#include "backends/vulkan/representation.h"

#include <gtest/gtest.h>

namespace intaglio::vulkan {
namespace {

using namespace representations;

TEST(Representations, AnImageBeforeABufferAndTheSmallestLayout) {
  EXPECT_EQ(any.first(), (Representation{StorageType::texture_3d, MemoryLayout::width_packed}));
  EXPECT_EQ((channels_texture | width_buffer).first(), (Representation{StorageType::texture_3d, MemoryLayout::channels_packed}));
  EXPECT_EQ(any_buffer.first(), (Representation{StorageType::buffer, MemoryLayout::width_packed}));
  EXPECT_EQ(none.first(), Representation{});
  EXPECT_TRUE((contiguous & any_texture).settled());
  EXPECT_FALSE(contiguous.settled());
}

TEST(Representations, TexelsHoldFourAlongThePackedDimension) {
  EXPECT_EQ(texture_extents(std::vector<int64_t>{2, 6, 5, 9}, MemoryLayout::channels_packed), (std::array<int64_t, 3>{9, 5, 4}));
  EXPECT_EQ(texture_extents(std::vector<int64_t>{2, 6, 5, 9}, MemoryLayout::width_packed), (std::array<int64_t, 3>{3, 5, 12}));
  EXPECT_EQ(texture_extents(std::vector<int64_t>{7}, MemoryLayout::height_packed), (std::array<int64_t, 3>{7, 1, 1}));
  const TextureLimits limits = texture_limits({.small_texture_limits = true});
  EXPECT_EQ(that_fit(any, std::vector<int64_t>{1, 8192}, limits), any_buffer | width_texture);
  EXPECT_EQ(that_fit(any, std::vector<int64_t>{1, 8193}, limits), any_buffer);
  EXPECT_EQ(that_fit(any, std::vector<int64_t>{1, 1, 1, 1, 1}, limits), any_buffer);
}

}  // namespace
}  // namespace intaglio::vulkan
