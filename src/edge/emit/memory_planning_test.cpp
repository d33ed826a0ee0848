#include "edge/emit/memory_planning.h"

#include <gtest/gtest.h>

#include <random>

namespace intaglio::edge {
namespace {

using Offsets = std::vector<uint64_t>;

std::vector<Lifetime> random_lifetimes(std::mt19937& random, size_t count) {
  std::vector<Lifetime> tensors;
  for (size_t i = 0; i < count; ++i) {
    const size_t first = random() % 40;
    const size_t length = random() % 8 == 0 ? 40 : random() % 6;
    tensors.push_back({random() % 5 == 0 ? 64 : random() % 300, first, first + length});
  }
  return tensors;
}

TEST(MemoryPlanning, LargestFirstAndLaterFirstAmongEquals) {
  const std::vector<Lifetime> tensors = {{32, 0, 1}, {32, 1, 2}, {32, 2, 3}};
  const MemoryPlan plan = plan_shared_objects(tensors);
  // The third opens an object, the second another, the first fits beside the third.
  EXPECT_EQ(plan.offsets, (Offsets{0, 32, 0}));
  EXPECT_EQ(plan.total, 64u);
}

TEST(MemoryPlanning, SizesArePaddedTo16) {
  const std::vector<Lifetime> tensors = {{24, 0, 5}, {1, 0, 5}, {17, 0, 5}};
  const MemoryPlan plan = plan_shared_objects(tensors);
  EXPECT_EQ(plan.offsets, (Offsets{32, 64, 0}));
  EXPECT_EQ(plan.total, 80u);
}

TEST(MemoryPlanning, SmallTensorGoesBehindThoseThatLiveWithItInALargeObject) {
  // The 64-byte object is made by a tensor that is gone; a 32-byte one lives in it, another fits behind.
  const std::vector<Lifetime> tensors = {{64, 0, 1}, {32, 2, 4}, {32, 3, 4}};
  const MemoryPlan plan = plan_shared_objects(tensors);
  EXPECT_EQ(plan.offsets, (Offsets{0, 32, 0}));
  EXPECT_EQ(plan.total, 64u);
}

TEST(MemoryPlanning, PhantomsMayMakeTheOtherPlanLargerNeverOurs) {
  const std::vector<Lifetime> tensors = {{16, 0, 3}, {16, 2, 4}};
  const std::vector<Lifetime> phantoms = {{16, 4, 4}};
  EXPECT_LE(plan_memory(tensors, phantoms).total, plan_memory(tensors).total);
  EXPECT_EQ(plan_memory(tensors, phantoms).offsets.size(), 2u);
}

TEST(MemoryPlanning, GapsAreFilledBestFirst) {
  const std::vector<Lifetime> tensors = {{96, 0, 0}, {16, 0, 9}, {64, 0, 0}, {16, 0, 9}, {64, 5, 5}};
  const std::vector<size_t> order = {0, 1, 2, 3, 4};
  const MemoryPlan plan = plan_gaps(tensors, order);
  // Free at step 5: [0, 96) and [112, 176); the last tensor takes the one it fills.
  EXPECT_EQ(plan.offsets, (Offsets{0, 96, 112, 176, 112}));
  EXPECT_EQ(plan.total, 192u);
}

TEST(MemoryPlanning, RandomPlansAreSoundAndNeverLargerThanExecuTorchs) {
  std::mt19937 random(7);
  size_t smaller = 0;
  for (int round = 0; round < 300; ++round) {
    const std::vector<Lifetime> tensors = random_lifetimes(random, 1 + random() % 60);
    const std::vector<Lifetime> phantoms = random_lifetimes(random, random() % 3);
    const MemoryPlan shared = plan_shared_objects(tensors);
    const MemoryPlan plan = plan_memory(tensors, phantoms);
    ASSERT_TRUE(is_sound(shared, tensors));
    ASSERT_TRUE(is_sound(plan, tensors));
    ASSERT_LE(plan.total, shared.total);
    ASSERT_GE(plan.total, least_memory(tensors));
    smaller += plan.total < shared.total;
    ASSERT_EQ(plan_memory(tensors, phantoms).offsets, plan.offsets);
  }
  EXPECT_GT(smaller, 100u);
}

TEST(MemoryPlanning, UnsoundPlansAreSeen) {
  const std::vector<Lifetime> tensors = {{32, 0, 2}, {32, 2, 3}};
  EXPECT_FALSE(is_sound({{0, 16}, 64}, tensors));
  EXPECT_FALSE(is_sound({{0, 32}, 48}, tensors));
  EXPECT_FALSE(is_sound({{0, 36}, 80}, tensors));
  EXPECT_TRUE(is_sound({{0, 32}, 64}, tensors));
}

TEST(MemoryPlanning, NothingToPlan) {
  EXPECT_EQ(plan_memory({}).total, 0u);
  const std::vector<Lifetime> empty = {{0, 0, 3}};
  EXPECT_EQ(plan_memory(empty).total, 0u);
}

}  // namespace
}  // namespace intaglio::edge
