// Writes ZIP archives (.pt2, .npz) as torch does: stored, data on 64-byte boundaries, 64-bit end records always.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <intaglio/blob.h>

#include "base/atomic_file.h"

namespace intaglio {

class ZipWriter {
 public:
  // Names are put below the folder `root`; none when it is empty.
  explicit ZipWriter(AtomicFile& file, std::string_view root = "") : file_(file), prefix_(root) {
    if (!prefix_.empty()) prefix_ += '/';
  }

  // Names must be new; the order of calls is the order in the file.
  void add(std::string_view name, const Blob& contents);
  void add(std::string_view name, std::string_view text) { add(name, Blob(text)); }
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
  std::string prefix_;
  std::vector<Entry> entries_;
};

}  // namespace intaglio
