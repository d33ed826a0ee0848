#include "backends/vulkan/lower/memory_objects.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <numeric>
#include <queue>
#include <set>
#include <utility>

namespace intaglio::vulkan {
namespace {

// Beyond this many tensors they are placed as time goes by: else each is compared with every object.
constexpr size_t many_tensors = 1000;

// The times at which an object is taken, none of which overlap: first step to last step.
class Occupation {
 public:
  bool take(size_t first, size_t last) {
    const auto after = taken_.upper_bound(last);
    if (after != taken_.begin() && std::prev(after)->second >= first) return false;
    taken_[first] = last;
    return true;
  }

 private:
  std::map<size_t, size_t> taken_;
};

template <typename Less>
std::vector<size_t> sorted_order(size_t count, Less less) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, less);
  return order;
}

}  // namespace

std::vector<int32_t> share_memory_in_time(std::span<const Lifetime> tensors) {
  const std::vector<size_t> order = sorted_order(tensors.size(), [&](size_t a, size_t b) { return tensors[a].first < tensors[b].first; });
  std::vector<int32_t> result(tensors.size());
  std::vector<uint64_t> sizes;                                                                                     // of the objects
  std::set<std::pair<uint64_t, int32_t>> free;                                                                     // by size
  std::priority_queue<std::pair<size_t, int32_t>, std::vector<std::pair<size_t, int32_t>>, std::greater<>> taken;  // by last step
  for (const size_t i : order) {
    for (; !taken.empty() && taken.top().first < tensors[i].first; taken.pop()) free.emplace(sizes[taken.top().second], taken.top().second);
    auto fit = free.lower_bound({tensors[i].bytes, 0});
    if (fit == free.end() && !free.empty()) fit = std::prev(fit);  // the largest grows least
    if (fit == free.end()) {
      result[i] = static_cast<int32_t>(sizes.size());
      sizes.push_back(0);
    } else {
      result[i] = fit->second;
      free.erase(fit);
    }
    sizes[result[i]] = std::max(sizes[result[i]], tensors[i].bytes);
    taken.emplace(tensors[i].last, result[i]);
  }
  return result;
}

std::vector<int32_t> share_memory(std::span<const Lifetime> tensors) {
  if (tensors.size() > many_tensors) return share_memory_in_time(tensors);
  const std::vector<size_t> order = sorted_order(tensors.size(), [&](size_t a, size_t b) { return tensors[a].bytes > tensors[b].bytes; });
  std::vector<Occupation> objects;
  std::vector<int32_t> result(tensors.size());
  for (const size_t i : order) {
    size_t object = 0;
    while (object < objects.size() && !objects[object].take(tensors[i].first, tensors[i].last)) ++object;
    if (object == objects.size()) objects.emplace_back().take(tensors[i].first, tensors[i].last);
    result[i] = static_cast<int32_t>(object);
  }
  return result;
}

}  // namespace intaglio::vulkan
