// A file mapped read-only into memory.
//
// What is read from it is trusted to be one state of the file: a change while it is mapped is found (by size and time of
// change) before anything made from it is committed.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace intaglio {

class MappedFile {
 public:
  // Bad-input error, naming the path, for a missing file, an unreadable one or one that is not regular (a folder, a pipe, a
  // device: never waited for). An empty file maps to no bytes.
  static std::shared_ptr<MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  friend class MappedFiles;
  explicit MappedFile(const std::filesystem::path& path);
  bool changed() const;

  std::string shown_;
  int fd_ = -1;
  struct stat opened_ {};
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  MappedFile *previous_ = nullptr, *next_ = nullptr;  // of all that are mapped
};

// Of one file at two times: by size and time of change.
bool is_same_state(const struct stat& before, const struct stat& after);

// Bad-input error naming a file that was changed while it was mapped: one that still is, or one whose mapping ended since the
// last call; or an input of this run (inputs.h) that is another by now.
void require_mapped_files_unchanged();

// A mapped file that is cut short ends the process (SIGBUS) when the lost part is read. After this call it reads as zeros, and
// `require_mapped_files_unchanged` tells. For programs: a library does not take signals.
void survive_truncated_files();

}  // namespace intaglio
