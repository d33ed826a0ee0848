// A `.pt2` archive: a ZIP with one root folder, told apart from other files of PyTorch, its records by name.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <intaglio/tensor.h>

#include "base/zip_reader.h"

namespace intaglio::pt2 {

class Archive {
 public:
  // Bad input for anything that is no `.pt2`; unsupported for older layouts. `keep_alive` owns the bytes; `source` is the
  // file's name in errors that come up after loading, when a record is first used.
  Archive(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive, std::string source,
          Storage::Backing backing = Storage::Backing::memory);

  bool contains(std::string_view name) const { return find(name) != nullptr; }
  // All names below the root, in the archive's order.
  std::vector<std::string_view> names() const;

  // A whole small record, checked now.
  std::string text(std::string_view name) const;
  // A record as a storage, one for each name; stored bytes stay where they are and are checked at first use.
  std::shared_ptr<Storage> record(std::string_view name);
  // Checks every record now.
  void verify() const;

 private:
  const ZipEntry* find(std::string_view name) const;
  const ZipEntry& get(std::string_view name) const;
  void check_kind() const;
  void check_versions() const;

  std::shared_ptr<const void> keep_alive_;
  std::string source_;
  Storage::Backing backing_;
  ZipReader zip_;
  std::string root_;  // with the slash
  std::map<std::string, std::shared_ptr<Storage>, std::less<>> records_;
};

}  // namespace intaglio::pt2
