#include "backends/vulkan/lower/memory_objects.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace intaglio::vulkan {
namespace {

TEST(MemoryObjects, TensorsThatLiveAtTheSameTimeAreApart) {
  EXPECT_EQ(share_memory(std::vector<Lifetime>{{16, 0, 1}, {16, 1, 2}, {16, 2, 3}}), (std::vector<int32_t>{0, 1, 0}));
  EXPECT_EQ(share_memory(std::vector<Lifetime>{{16, 0, 1}, {32, 2, 3}, {16, 4, 5}}), (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ(share_memory(std::vector<Lifetime>{{16, 0, 9}, {32, 2, 3}}), (std::vector<int32_t>{1, 0}));
}

// In the largest of them, which are placed as time goes by, each is not compared with each.
TEST(MemoryObjects, ManyTensorsShareFewObjects) {
  for (const size_t count : {size_t{400}, size_t{1000}, size_t{1001}, size_t{3000}}) {
    std::mt19937 random(7);
    std::vector<Lifetime> lifetimes;
    for (size_t i = 0; i < count; ++i) lifetimes.push_back({16 * (random() % 9), i, i + random() % 12});
    const std::vector<int32_t> objects = share_memory(lifetimes);
    EXPECT_LE(std::ranges::max(objects), 20);
    for (size_t a = 0; a < lifetimes.size(); ++a)
      for (size_t b = a + 1; b < lifetimes.size(); ++b)
        if (objects[a] == objects[b]) { EXPECT_TRUE(lifetimes[a].last < lifetimes[b].first || lifetimes[b].last < lifetimes[a].first); }
  }
}

TEST(MemoryObjects, ATensorTakesTheSmallestFreeObjectThatIsLargeEnough) {
  EXPECT_EQ(share_memory_in_time(std::vector<Lifetime>{{64, 0, 1}, {32, 0, 1}, {16, 2, 3}, {48, 2, 3}}),
            (std::vector<int32_t>{0, 1, 1, 0}));
  EXPECT_EQ(share_memory_in_time(std::vector<Lifetime>{{64, 0, 1}, {32, 0, 1}, {80, 2, 3}}), (std::vector<int32_t>{0, 1, 0}));
  EXPECT_EQ(share_memory_in_time(std::vector<Lifetime>{{64, 0, 2}, {32, 2, 3}}), (std::vector<int32_t>{0, 1}));
}

}  // namespace
}  // namespace intaglio::vulkan
