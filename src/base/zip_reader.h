// A checked reader of ZIP archives over bytes in memory.
//
// Layout, from the end: end record (EOCD) with an optional comment; before it, in 64-bit archives, a locator and the
// 64-bit end record; before those the central directory, one record an entry; before it the entries, each a local
// header and its data. The central directory is the truth; local headers must agree with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/crc32.h"

namespace intaglio {

struct ZipEntry {
  std::string name;  // UTF-8, relative, '/' between components, none of them empty, "." or ".."
  uint32_t crc = 0;
  bool deflated = false;
  uint64_t compressed_size = 0;
  uint64_t size = 0;
  uint64_t header_offset = 0;
  uint64_t data_offset = 0;
};

class ZipReader {
 public:
  // Bad-input error for anything that is not one well-formed archive over all of `bytes`.
  // A comment and up to 64 KiB of text behind the end record are allowed.
  explicit ZipReader(std::span<const std::byte> bytes);

  // Files only, in the order of the central directory.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  const ZipEntry* find(std::string_view name) const;

  // Bytes as they stand in the archive.
  std::span<const std::byte> stored(const ZipEntry& entry) const;
  // Inflated contents of a deflated entry; the sum over all entries is bounded by the archive's size.
  std::vector<std::byte> inflated(const ZipEntry& entry) const;

 private:
  struct Directory;
  Directory find_directory() const;
  Directory read_wide_end_record(uint64_t at) const;
  void read_directory(const Directory& directory);
  ZipEntry read_central_record(ByteReader& reader, const Directory& directory) const;
  void check_local_headers(const Directory& directory);
  void index_names();

  std::span<const std::byte> bytes_;
  std::vector<ZipEntry> entries_;
  std::map<std::string_view, const ZipEntry*> by_name_;
};

// Bad-input error naming the entry when the bytes are damaged.
void check_crc(const ZipEntry& entry, std::span<const std::byte> bytes);

}  // namespace intaglio
