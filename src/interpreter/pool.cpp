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
constexpr size_t most_looked_at = 64;

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
  const auto size_of = [](const std::shared_ptr<Storage>& block) { return block->size(); };
  const size_t first = static_cast<size_t>(std::ranges::lower_bound(blocks_, bytes, {}, size_of) - blocks_.begin());
  const size_t end =
      static_cast<size_t>(std::ranges::upper_bound(blocks_, std::max(small, bytes * largest_waste), {}, size_of) - blocks_.begin());
  // Of many that fit some are looked at, others the next time: a few free ones among them cost less than the search.
  const size_t fitting = end - std::min(first, end), looked_at = std::min(fitting, most_looked_at);
  for (size_t i = 0; i < looked_at; ++i)
    if (const auto& block = blocks_[first + (fitting == looked_at ? i : turn_++ % fitting)]; block.use_count() == 1) return block;
  // The new block takes the place of the largest that is free and too small: what that one served fits the new one too.
  for (size_t i = first; i > 0 && first - i < most_looked_at; --i) {
    if (blocks_[i - 1].use_count() != 1) continue;
    blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i - 1));
    break;
  }
  // Some room, so that the next request of about this size fits too.
  std::shared_ptr<Storage> fresh = Storage::allocate((bytes + small - 1) / small * small);
  blocks_.insert(std::ranges::upper_bound(blocks_, fresh->size(), {}, size_of), fresh);
  return fresh;
}

void Pool::trim() {
  std::erase_if(blocks_, [](const std::shared_ptr<Storage>& block) { return block.use_count() == 1; });
}

}  // namespace intaglio::interp
