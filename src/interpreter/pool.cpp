#include "interpreter/pool.h"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::interp {
namespace {

// Larger blocks are only given to requests that fill at least this part of them.
constexpr size_t largest_waste = 8;
constexpr size_t small = 4096;

// More than the machine holds would be promised by the system and taken back by killing the process.
int64_t physical_memory() {
  static const int64_t bytes = int64_t{::sysconf(_SC_PHYS_PAGES)} * int64_t{::sysconf(_SC_PAGESIZE)};
  return bytes;
}

int64_t elements_spanned(const Sizes& sizes, const Sizes& strides) {
  int64_t last = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return 0;
    int64_t reach = 0;
    if (__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) || __builtin_add_overflow(last, reach, &last))
      throw_bad_input("a tensor is larger than the address space");
  }
  return last + 1;
}

}  // namespace

Tensor Pool::empty(DType dtype, Sizes sizes, Sizes strides) {
  element_count(sizes);
  if (strides.size() != sizes.size()) strides = contiguous_strides(sizes);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements_spanned(sizes, strides), static_cast<int64_t>(item_size(dtype)), &bytes))
    throw_bad_input("a tensor is larger than the address space");
  if (bytes > physical_memory()) throw_bad_input(fmt::format("a tensor of {} bytes does not fit into memory", bytes));
  return Tensor(dtype, std::move(sizes), std::move(strides), 0, take(static_cast<size_t>(bytes)));
}

std::shared_ptr<Storage> Pool::take(size_t bytes) {
  const auto smaller = [](const std::shared_ptr<Storage>& block, size_t size) { return block->size() < size; };
  for (auto it = std::lower_bound(blocks_.begin(), blocks_.end(), bytes, smaller); it != blocks_.end(); ++it) {
    if ((*it)->size() > std::max(small, bytes * largest_waste)) break;
    if (it->use_count() == 1) return *it;
  }
  // The new block takes the place of the largest that is free and too small: what that one served fits the new one too.
  for (auto it = std::lower_bound(blocks_.begin(), blocks_.end(), bytes, smaller); it != blocks_.begin();) {
    if ((--it)->use_count() != 1) continue;
    blocks_.erase(it);
    break;
  }
  // Some room, so that the next request of about this size fits too.
  std::shared_ptr<Storage> fresh = Storage::allocate((bytes + small - 1) / small * small);
  blocks_.insert(std::lower_bound(blocks_.begin(), blocks_.end(), fresh->size(), smaller), fresh);
  return fresh;
}

void Pool::trim() {
  std::erase_if(blocks_, [](const std::shared_ptr<Storage>& block) { return block.use_count() == 1; });
}

}  // namespace intaglio::interp
