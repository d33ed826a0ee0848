#include "edge/emit/memory_planning.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace intaglio::edge {
namespace {

constexpr uint64_t alignment = 16;
// Beyond this many tensors they are placed as time goes by: all else compares each with each.
constexpr size_t many_tensors = 1000;

uint64_t padded(uint64_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

bool live_together(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

struct SharedObject {
  uint64_t size = 0;
  std::vector<size_t> members;
};

template <typename Less>
std::vector<size_t> sorted_order(size_t count, Less less) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), less);
  return order;
}

}  // namespace

MemoryPlan plan_shared_objects(std::span<const Lifetime> tensors) {
  std::vector<size_t> order =
      sorted_order(tensors.size(), [&](size_t a, size_t b) { return padded(tensors[a].bytes) < padded(tensors[b].bytes); });
  std::reverse(order.begin(), order.end());

  MemoryPlan plan;
  plan.offsets.resize(tensors.size());  // inside the object first
  std::vector<size_t> object_of(tensors.size());
  std::vector<SharedObject> objects;
  for (const size_t index : order) {
    const Lifetime& tensor = tensors[index];
    const uint64_t size = padded(tensor.bytes);
    // Where the tensors that live at the same time end, for each object; 0 where there are none.
    std::vector<uint64_t> ends(objects.size());
    std::vector<bool> free(objects.size(), true);
    for (size_t i = 0; i < objects.size(); ++i) {
      for (const size_t member : objects[i].members) {
        if (!live_together(tensor, tensors[member])) continue;
        free[i] = false;
        ends[i] = std::max(ends[i], plan.offsets[member] + padded(tensors[member].bytes));
      }
      if (free[i]) break;
    }
    size_t chosen = std::find(free.begin(), free.end(), true) - free.begin();
    // Objects behind the free one were not looked at; a free one always wins.
    if (chosen == objects.size())
      for (chosen = 0; chosen < objects.size(); ++chosen)
        if (ends[chosen] > 0 && ends[chosen] + size <= objects[chosen].size) break;
    if (chosen == objects.size()) {
      objects.push_back({size, {}});
      ends.push_back(0);
    }
    plan.offsets[index] = ends[chosen];
    object_of[index] = chosen;
    objects[chosen].members.push_back(index);
  }

  std::vector<uint64_t> starts(objects.size());
  for (size_t i = 0; i < objects.size(); ++i) {
    starts[i] = plan.total;
    plan.total += objects[i].size;
  }
  for (size_t i = 0; i < tensors.size(); ++i) plan.offsets[i] += starts[object_of[i]];
  return plan;
}

MemoryPlan plan_gaps(std::span<const Lifetime> tensors, std::span<const size_t> order) {
  MemoryPlan plan;
  plan.offsets.resize(tensors.size());
  std::vector<size_t> placed;  // by offset
  for (const size_t index : order) {
    const uint64_t size = padded(tensors[index].bytes);
    uint64_t end = 0;  // of what lies below the gap
    uint64_t best = std::numeric_limits<uint64_t>::max();
    uint64_t best_gap = std::numeric_limits<uint64_t>::max();
    for (const size_t other : placed) {
      if (!live_together(tensors[index], tensors[other])) continue;
      const uint64_t start = plan.offsets[other];
      if (start >= end + size && start - end < best_gap) {
        best = end;
        best_gap = start - end;
      }
      end = std::max(end, start + padded(tensors[other].bytes));
    }
    plan.offsets[index] = std::min(best, end);
    plan.total = std::max(plan.total, plan.offsets[index] + size);
    const auto behind = std::upper_bound(placed.begin(), placed.end(), plan.offsets[index],
                                         [&](uint64_t offset, size_t other) { return offset < plan.offsets[other]; });
    placed.insert(behind, index);
  }
  return plan;
}

namespace {

// What is free below the end of the arena: by place, and by size for the best fit.
class FreeMemory {
 public:
  // Takes the smallest gap that is large enough, else what the arena's end needs to move by.
  uint64_t take(uint64_t size) {
    if (const auto fit = by_size_.lower_bound({size, 0}); fit != by_size_.end()) {
      const auto [gap, offset] = *fit;
      erase(by_place_.find(offset));
      if (gap > size) insert(offset + size, gap - size);
      return offset;
    }
    uint64_t offset = end_;
    if (!by_place_.empty())
      if (const auto last = std::prev(by_place_.end()); last->first + last->second == end_) {
        offset = last->first;
        erase(last);
      }
    end_ = offset + size;
    return offset;
  }

  void give_back(uint64_t offset, uint64_t size) {
    if (size == 0) return;
    const auto above = by_place_.find(offset + size);
    if (above != by_place_.end()) {
      size += above->second;
      erase(above);
    }
    const auto behind = by_place_.lower_bound(offset);
    if (behind != by_place_.begin())
      if (const auto below = std::prev(behind); below->first + below->second == offset) {
        offset = below->first;
        size += below->second;
        erase(below);
      }
    insert(offset, size);
  }

  uint64_t end() const { return end_; }

 private:
  using Places = std::map<uint64_t, uint64_t>;
  void insert(uint64_t offset, uint64_t size) {
    by_place_.emplace(offset, size);
    by_size_.emplace(size, offset);
  }
  void erase(Places::iterator gap) {
    by_size_.erase({gap->second, gap->first});
    by_place_.erase(gap);
  }

  Places by_place_;
  std::set<std::pair<uint64_t, uint64_t>> by_size_;
  uint64_t end_ = 0;
};

}  // namespace

MemoryPlan plan_in_time(std::span<const Lifetime> tensors) {
  MemoryPlan plan;
  plan.offsets.resize(tensors.size());
  FreeMemory memory;
  std::set<std::pair<size_t, size_t>> live;  // by last step
  const auto sooner_and_larger = [&](size_t a, size_t b) {
    return tensors[a].first != tensors[b].first ? tensors[a].first < tensors[b].first : tensors[a].bytes > tensors[b].bytes;
  };
  for (const size_t index : sorted_order(tensors.size(), sooner_and_larger)) {
    while (!live.empty() && live.begin()->first < tensors[index].first) {
      const size_t over = live.begin()->second;
      memory.give_back(plan.offsets[over], padded(tensors[over].bytes));
      live.erase(live.begin());
    }
    plan.offsets[index] = memory.take(padded(tensors[index].bytes));
    live.emplace(tensors[index].last, index);
  }
  plan.total = memory.end();
  return plan;
}

uint64_t least_memory(std::span<const Lifetime> tensors) {
  std::map<size_t, std::pair<uint64_t, uint64_t>> changes;  // step: bytes that start there, bytes that ended before
  for (const Lifetime& tensor : tensors) {
    changes[tensor.first].first += padded(tensor.bytes);
    changes[tensor.last + 1].second += padded(tensor.bytes);
  }
  uint64_t live = 0, most = 0;
  for (const auto& [step, change] : changes) {
    live = live + change.first - change.second;
    most = std::max(most, live);
  }
  return most;
}

MemoryPlan plan_memory(std::span<const Lifetime> tensors, std::span<const Lifetime> phantoms) {
  if (tensors.size() > many_tensors) return plan_in_time(tensors);
  MemoryPlan best = plan_shared_objects(tensors);
  const auto keep_smaller = [&](MemoryPlan plan) {
    plan.offsets.resize(tensors.size());
    if (plan.total < best.total) best = std::move(plan);
  };
  if (!phantoms.empty()) {
    std::vector<Lifetime> all(tensors.begin(), tensors.end());
    all.insert(all.end(), phantoms.begin(), phantoms.end());
    keep_smaller(plan_shared_objects(all));
  }
  const uint64_t least = least_memory(tensors);
  const auto larger = [&](size_t a, size_t b) { return tensors[a].bytes > tensors[b].bytes; };
  const auto longer = [&](size_t a, size_t b) { return tensors[a].last - tensors[a].first > tensors[b].last - tensors[b].first; };
  const auto earlier = [&](size_t a, size_t b) { return tensors[a].first < tensors[b].first; };

  if (best.total > least) keep_smaller(plan_gaps(tensors, sorted_order(tensors.size(), larger)));
  if (best.total > least) keep_smaller(plan_gaps(tensors, sorted_order(tensors.size(), longer)));
  if (best.total > least) keep_smaller(plan_gaps(tensors, sorted_order(tensors.size(), earlier)));
  return best;
}

bool is_sound(const MemoryPlan& plan, std::span<const Lifetime> tensors) {
  if (plan.offsets.size() != tensors.size()) return false;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (plan.offsets[i] % alignment != 0 || plan.offsets[i] + tensors[i].bytes > plan.total) return false;
    for (size_t j = 0; j < i; ++j) {
      const bool apart = plan.offsets[i] + tensors[i].bytes <= plan.offsets[j] || plan.offsets[j] + tensors[j].bytes <= plan.offsets[i];
      if (!apart && tensors[i].bytes > 0 && tensors[j].bytes > 0 && live_together(tensors[i], tensors[j])) return false;
    }
  }
  return true;
}

}  // namespace intaglio::edge
