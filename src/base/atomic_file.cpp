#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/causes.h"
#include "base/inputs.h"
#include "base/mapped_file.h"
#include "base/temporary_names.h"

namespace intaglio {
namespace {

constexpr size_t buffer_bytes = 1 << 16;

std::filesystem::path folder_of(const std::filesystem::path& target) {
  const std::filesystem::path folder = target.parent_path();
  return folder.empty() ? "." : folder;
}

void require_regular(const std::filesystem::path& target) {
  const std::filesystem::file_type type = target.filename().empty() ? std::filesystem::file_type::directory : [&] {
    std::error_code ignored;
    return std::filesystem::status(target, ignored).type();
  }();
  if (type == std::filesystem::file_type::directory)
    throw_bad_input(fmt::format("{}: cannot be written: is a directory, name a file", escaped(target.string())));
  if (type != std::filesystem::file_type::regular && type != std::filesystem::file_type::not_found &&
      type != std::filesystem::file_type::none)
    throw_bad_input(fmt::format("{}: cannot be written: is a device or a pipe, name a file", escaped(target.string())));
}

// One that its owner protects stays, though its folder would let it be replaced. A name that no file can have is found before the work.
void require_writable(const std::filesystem::path& target) {
  if (::faccessat(AT_FDCWD, target.c_str(), W_OK, AT_EACCESS) == 0) return;
  if (errno == ENAMETOOLONG) throw_bad_input(fmt::format("{}: cannot be written: {}", escaped(target.string()), cause_text(errno)));
  if (errno == EACCES)
    throw_bad_input(fmt::format("{}: cannot be written: Permission denied; it is protected, name another file", escaped(target.string())));
}

}  // namespace

std::filesystem::path written_place(std::filesystem::path target) {
  constexpr int most_links = 40;  // what Linux itself follows
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(std::filesystem::symlink_status(target, error)); ++links) {
    if (links == most_links) throw_bad_input(escaped(target.string()) + ": cannot be written: its links lead in a circle");
    target = target.parent_path() / std::filesystem::read_symlink(target, error);
  }
  return target;
}

AtomicFile::AtomicFile(std::filesystem::path target) : target_(written_place(std::move(target))) {
  require_regular(target_);
  require_no_input(target_);
  require_writable(target_);
  remove_abandoned(temporary_prefix(target_));
  buffer_.reserve(buffer_bytes);
  open_nameless();
  if (fd_ < 0) open_named();
  hold_temporary(fd_);
}

// A file without a name vanishes with its process, however that ends. It gets its name through /proc, which must be there and
// know this process by its number. Not every file system has such files.
void AtomicFile::open_nameless() {
  fd_ = ::open(folder_of(target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd_ < 0) return;
  struct stat here {
  }, there{};
  if (::fstat(fd_, &here) == 0 && ::stat(temporary_path().c_str(), &there) == 0 && here.st_dev == there.st_dev &&
      here.st_ino == there.st_ino)
    return;
  ::close(fd_);
  fd_ = -1;
}

// A name that is taken, by whatever, is passed over.
void AtomicFile::open_named() {
  for (int tries = 0; tries < 1000 && fd_ < 0; ++tries) {
    named_ = Leftover(next_temporary(temporary_prefix(target_)), [&](const char* name) {
      fd_ = ::open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      return fd_ >= 0;
    });
    if (fd_ < 0 && errno != EEXIST) break;
  }
  if (fd_ < 0) fail("cannot be written");
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::filesystem::path AtomicFile::temporary_path() const {
  // By the process's number: another program is given this path too.
  return named_.exists() ? named_.path() : fmt::format("/proc/{}/fd/{}", ::getpid(), fd_);
}

void AtomicFile::fail(const char* what) {
  const int cause = errno;
  const char* where = cause == ENOENT ? "; the folder must exist" : "";
  throw_bad_input(fmt::format("{}: {}: {}{}", escaped(target_.string()), what, cause_text(cause), where));
}

void AtomicFile::drain(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd_, bytes.data(), std::min(bytes.size(), size_t{1} << 30));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("writing failed");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer_.size() + bytes.size() > buffer_bytes) {
    drain(buffer_);
    buffer_.clear();
  }
  if (bytes.size() > buffer_bytes) drain(bytes);
  else buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  position_ += bytes.size();
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::overwrite(uint64_t position, std::span<const std::byte> bytes) {
  flush();
  if (::lseek(fd_, static_cast<off_t>(position), SEEK_SET) < 0) fail("writing failed");
  drain(bytes);
  if (::lseek(fd_, static_cast<off_t>(position_), SEEK_SET) < 0) fail("writing failed");
}

void AtomicFile::make_zeros(uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) fail("writing failed");
  position_ = size;
}

void AtomicFile::write_at(uint64_t position, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd_, bytes.data(), std::min(bytes.size(), size_t{1} << 30), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("writing failed");
    // The disk begins now, beside what computes the rest, and `commit` waits for less. Where it cannot, nothing is lost.
    ::sync_file_range(fd_, static_cast<off_t>(position), written, SYNC_FILE_RANGE_WRITE);
    bytes = bytes.subspan(static_cast<size_t>(written));
    position += static_cast<uint64_t>(written);
  }
}

void AtomicFile::flush() {
  drain(buffer_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  require_mapped_files_unchanged();
  require_no_input(target_);  // that was read meanwhile
  struct stat existing {};
  if (::stat(target_.c_str(), &existing) == 0) ::fchmod(fd_, existing.st_mode & 0777);
  if (::fsync(fd_) != 0) fail("writing failed");
  const std::filesystem::path written = temporary_path();
  for (int tries = 0; !named_.exists(); ++tries) {
    named_ = Leftover(next_temporary(temporary_prefix(target_)),
                      [&](const char* name) { return ::linkat(AT_FDCWD, written.c_str(), AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0; });
    if (!named_.exists() && (errno != EEXIST || tries == 1000)) fail("cannot be written");
  }
  if (::rename(named_.path().c_str(), target_.c_str()) != 0) fail("cannot be replaced");
  named_.keep();
  forget_input(target_);
  ::close(fd_);
  fd_ = -1;
}

void write_file_atomically(const std::filesystem::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  file.commit();
}

}  // namespace intaglio
