// Writes ZIP archives as torch does: stored, data on 64-byte boundaries, 64-bit end records always.
#pragma once

#include <string>
#include <vector>

#include "base/atomic_file.h"

namespace intaglio::pt2 {

class ZipWriter {
 public:
  // Names are put below `root`, which has no slash.
  ZipWriter(AtomicFile& file, std::string root) : file_(file), root_(std::move(root)) {}

  // Names must be new; the order of calls is the order in the file.
  void add(std::string_view name, std::span<const std::byte> bytes);
  void add(std::string_view name, std::string_view text);
  // The central directory; nothing may be added afterwards.
  void finish();

 private:
  struct Entry {
    std::string name;
    uint32_t crc;
    uint64_t size;
    uint64_t offset;
  };
  AtomicFile& file_;
  std::string root_;
  std::vector<Entry> entries_;
};

}  // namespace intaglio::pt2
