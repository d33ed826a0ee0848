// A file that appears whole or not at all.
//
// Bytes go to a temporary file in the target's folder; `commit` makes them durable and renames. Without commit, or when
// anything fails, the temporary file is removed and the target stays as it was. Where the file system can, the file
// has no name until then, so that not even a killed process leaves it behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace intaglio {

class AtomicFile {
 public:
  // Bad-input error, naming the target, when the folder is missing or cannot be written to.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void pad_to(uint64_t position);  // zeros up to `position`
  // Other bytes in place of some that were written.
  void overwrite(uint64_t position, std::span<const std::byte> bytes);
  uint64_t position() const { return position_; }

  // What was written so far can be read back here, by this process and by its children (verification before commit).
  std::filesystem::path temporary_path() const;
  void flush();
  void commit();

 private:
  [[noreturn]] void fail(const char* what);
  void drain(std::span<const std::byte> bytes);

  std::filesystem::path target_;
  std::filesystem::path temporary_;  // where it gets a name just before it takes the target's
  bool named_ = false;
  int fd_ = -1;
  uint64_t position_ = 0;
  std::vector<std::byte> buffer_;
};

// The common case: one text, written whole.
void write_file_atomically(const std::filesystem::path& target, std::string_view text);

}  // namespace intaglio
