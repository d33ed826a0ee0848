// Where each tensor of a program lives in its one block of planned memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace intaglio::edge {

// A tensor's bytes and the steps during which they must stay untouched, both ends included.
struct Lifetime {
  uint64_t bytes = 0;
  size_t first = 0;
  size_t last = 0;
};

struct MemoryPlan {
  std::vector<uint64_t> offsets;  // one for each lifetime, multiples of 16
  uint64_t total = 0;
};

// The smallest of several greedy plans, ExecuTorch's among them, so never larger than ExecuTorch's. `phantoms` are
// lifetimes that ExecuTorch plans and never uses; they take part in its plan only. More than 6000 tensors get `plan_in_time`
// alone, which may be larger than ExecuTorch's.
MemoryPlan plan_memory(std::span<const Lifetime> tensors, std::span<const Lifetime> phantoms = {});

// ExecuTorch's greedy plan: largest first, later-collected first among equals; a tensor goes into the first shared
// object where nothing lives at the same time, else behind those that do if the object is large enough, else into a
// new object. Objects lie end to end.
MemoryPlan plan_shared_objects(std::span<const Lifetime> tensors);

// A tensor goes into the smallest gap left by those that live at the same time, in the given order.
MemoryPlan plan_gaps(std::span<const Lifetime> tensors, std::span<const size_t> order);

// A tensor goes, when its time comes, into the smallest gap that is large enough, else behind all others. Time is n log n.
MemoryPlan plan_in_time(std::span<const Lifetime> tensors);

// No plan can be smaller: the most bytes that live at one step.
uint64_t least_memory(std::span<const Lifetime> tensors);

// True when no two tensors that live at the same time share a byte and all lie inside the total.
bool is_sound(const MemoryPlan& plan, std::span<const Lifetime> tensors);

}  // namespace intaglio::edge
