// A file that appears whole or not at all.
//
// Bytes go to a temporary file in the target's folder; `commit` makes them durable and renames. Without commit, or when
// anything fails, the temporary file is removed and the target stays as it was. Where the file system can, the file
// has no name until then, so that not even a killed process leaves it behind; elsewhere the next run removes what a killed
// one left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/leftovers.h"

namespace intaglio {

// Links followed to the end, also to what does not exist yet. Bad-input error when they lead in a circle.
std::filesystem::path written_place(std::filesystem::path target);

class AtomicFile {
 public:
  // A link is followed: what it names is replaced, or made, and the link stays. Bad-input error, naming the target, when the
  // folder is missing or cannot be written to, when links lead in a circle, when a folder, device or pipe stands there, or a file that
  // this user may not write to. Usage error for an input of this run (inputs.h).
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // Other bytes in place of some that were written.
  void overwrite(uint64_t position, std::span<const std::byte> bytes);
  // For writers on several threads: a file of `size` zeros, where nothing was written yet, and bytes at their places in it.
  void make_zeros(uint64_t size);
  void write_at(uint64_t position, std::span<const std::byte> bytes);
  uint64_t position() const { return position_; }

  // What was written so far can be read back here, by this process and by its children (verification before commit).
  std::filesystem::path temporary_path() const;
  void flush();
  // The mode of a file that is replaced is kept, without set-user and the like. Bad-input error when a file that was mapped
  // meanwhile has changed: what was written may be made from two states of it.
  void commit();

 private:
  void open_nameless();
  void open_named();
  [[noreturn]] void fail(const char* what);
  void drain(std::span<const std::byte> bytes);

  std::filesystem::path target_;
  Leftover named_;  // once it has a name of its own, just before it takes the target's
  int fd_ = -1;
  uint64_t position_ = 0;
  std::vector<std::byte> buffer_;
};

// The common case: one text, written whole.
void write_file_atomically(const std::filesystem::path& target, std::string_view text);

}  // namespace intaglio
