#include "base/equal_blobs.h"

#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "base/sha256.h"
#include "base/threads.h"

namespace intaglio {
namespace {

// Of all blobs of their size that have a cheap start, or whose size one of those has: how many start alike.
class Starts {
 public:
  explicit Starts(const std::vector<Blob>& entries) : entries_(entries) {
    for (const Blob& entry : entries) has_start_[entry.size()] |= entry.has_start();
    parallel_for(entries.size(), 0, [&](size_t i) {
      if (is_looked_at(i)) entries[i].start_digest();
    });
    for (size_t i = 0; i < entries.size(); ++i)
      if (is_looked_at(i)) ++alike_[{entries[i].size(), entries[i].start_digest()}];
  }

  // Whether the start alone tells the entry from all others.
  bool suffices(size_t i) const { return entries_[i].has_start() && alike_.at({entries_[i].size(), entries_[i].start_digest()}) == 1; }

 private:
  bool is_looked_at(size_t i) const { return has_start_.at(entries_[i].size()); }

  const std::vector<Blob>& entries_;
  std::unordered_map<uint64_t, bool> has_start_;  // by size: whether one of them has
  std::map<std::pair<uint64_t, Sha256>, size_t> alike_;
};

Sha256 name_by_source(const Blob& blob, const Blob::Source& source) {
  const uint64_t numbers[] = {blob.size(), source.checksum, source.offset};
  Sha256Hasher hasher;
  hasher.add(std::as_bytes(std::span("size, source and start of ")));
  hasher.add(std::as_bytes(std::span(numbers)));
  hasher.add(blob.start_digest());
  return hasher.digest();
}

}  // namespace

std::vector<Sha256> names_of(const std::vector<Blob>& entries) {
  const Starts starts(entries);
  std::vector<Sha256> names(entries.size());
  parallel_for(entries.size(), 0, [&](size_t i) {
    const auto source = entries[i].source();
    names[i] = source && starts.suffices(i) ? name_by_source(entries[i], *source) : entries[i].digest();
  });
  return names;
}

std::vector<size_t> first_equal(const std::vector<Blob>& entries) {
  std::unordered_map<uint64_t, size_t> of_size;
  for (const Blob& entry : entries) ++of_size[entry.size()];
  std::vector<size_t> candidates;
  std::vector<Blob> blobs;
  for (size_t i = 0; i < entries.size(); ++i)
    if (of_size[entries[i].size()] > 1) candidates.push_back(i), blobs.push_back(entries[i]);

  const Starts starts(blobs);
  parallel_for(blobs.size(), 0, [&](size_t i) {
    if (!starts.suffices(i)) blobs[i].digest();
  });
  std::vector<size_t> result(entries.size());
  std::iota(result.begin(), result.end(), size_t{0});
  std::map<Sha256, size_t> first;
  for (size_t i = 0; i < candidates.size(); ++i)
    if (!starts.suffices(i)) result[candidates[i]] = first.emplace(blobs[i].digest(), candidates[i]).first->second;
  return result;
}

}  // namespace intaglio
