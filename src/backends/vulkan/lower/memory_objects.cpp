#include "backends/vulkan/lower/memory_objects.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <numeric>

namespace intaglio::vulkan {
namespace {

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

}  // namespace

std::vector<int32_t> share_memory(std::span<const Lifetime> tensors) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return tensors[a].bytes > tensors[b].bytes; });
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
