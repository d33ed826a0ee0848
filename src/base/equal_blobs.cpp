#include "base/equal_blobs.h"

#include <map>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "base/sha256.h"
#include "base/threads.h"

namespace intaglio {
namespace {

Sha256 name_by_start(const Blob& blob) {
  const uint64_t size = blob.size();
  Sha256Hasher hasher;
  hasher.add(std::as_bytes(std::span("size and start of ")));
  hasher.add(std::as_bytes(std::span(&size, 1)));
  hasher.add(blob.start_digest());
  return hasher.digest();
}

}  // namespace

std::vector<Sha256> names_of(const std::vector<Blob>& entries) {
  std::unordered_map<uint64_t, bool> has_start;  // by size: whether one of them has
  for (const Blob& entry : entries) has_start[entry.size()] |= entry.has_start();
  const auto is_started = [&](size_t i) { return has_start.at(entries[i].size()); };
  parallel_for(entries.size(), 0, [&](size_t i) {
    if (is_started(i)) entries[i].start_digest();
  });
  std::map<std::pair<uint64_t, Sha256>, size_t> alike;
  for (size_t i = 0; i < entries.size(); ++i)
    if (is_started(i)) ++alike[{entries[i].size(), entries[i].start_digest()}];

  std::vector<Sha256> names(entries.size());
  parallel_for(entries.size(), 0, [&](size_t i) {
    const Blob& entry = entries[i];
    const bool suffices = entry.has_start() && alike.at({entry.size(), entry.start_digest()}) == 1;
    names[i] = suffices ? name_by_start(entry) : entry.digest();
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

  const std::vector<Sha256> names = names_of(blobs);
  std::vector<size_t> result(entries.size());
  std::iota(result.begin(), result.end(), size_t{0});
  std::map<Sha256, size_t> first;
  for (size_t i = 0; i < candidates.size(); ++i) result[candidates[i]] = first.emplace(names[i], candidates[i]).first->second;
  return result;
}

}  // namespace intaglio
