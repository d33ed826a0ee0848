// Which tensors of a delegate share memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace intaglio::vulkan {

// A tensor's bytes and the steps during which they must stay untouched, both ends included.
struct Lifetime {
  uint64_t bytes = 0;
  size_t first = 0;
  size_t last = 0;
};

// The object of each tensor: the larger ones first, each goes to the first object none of whose tensors lives at the same time. More than
// 1000 tensors go as of `share_memory_in_time`.
std::vector<int32_t> share_memory(std::span<const Lifetime> tensors);

// A tensor goes, when its time comes, to the smallest free object that is large enough, else to the largest. Time is n log n.
std::vector<int32_t> share_memory_in_time(std::span<const Lifetime> tensors);

}  // namespace intaglio::vulkan
