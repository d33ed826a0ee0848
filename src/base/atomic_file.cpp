#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

constexpr size_t buffer_bytes = 1 << 16;

std::filesystem::path beside(const std::filesystem::path& target) {
  static std::atomic<unsigned> counter{0};
  std::filesystem::path folder = target.parent_path();
  if (folder.empty()) folder = ".";
  return folder / fmt::format(".{}.{}.{}.tmp", target.filename().string().substr(0, 200), ::getpid(), counter++);
}

// A link is followed, so that what it points to is replaced and the link stays.
std::filesystem::path resolved(const std::filesystem::path& target) {
  std::error_code ignored;
  if (!std::filesystem::is_symlink(target, ignored)) return target;
  std::filesystem::path real = std::filesystem::weakly_canonical(target, ignored);
  return ignored ? target : real;
}

}  // namespace

AtomicFile::AtomicFile(std::filesystem::path target) : target_(resolved(target)), temporary_(beside(target_)) {
  std::error_code ignored;
  if (target_.filename().empty() || std::filesystem::is_directory(target_, ignored))
    throw_bad_input(fmt::format("{}: cannot be written: is a directory, name a file", escaped(target_.string())));
  // A file without a name vanishes with its process, however that ends. Not every file system has them.
  fd_ = ::open(temporary_.parent_path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    named_ = true;
  }
  if (fd_ < 0) fail("cannot be written");
  buffer_.reserve(buffer_bytes);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (named_) ::unlink(temporary_.c_str());
}

std::filesystem::path AtomicFile::temporary_path() const {
  return named_ ? temporary_ : std::filesystem::path(fmt::format("/proc/{}/fd/{}", ::getpid(), fd_));
}

void AtomicFile::fail(const char* what) {
  const int cause = errno;
  const char* remedy = cause == ENOSPC || cause == EDQUOT ? "; free some space or choose another place"
                       : cause == ENOENT                  ? "; the folder must exist"
                       : cause == EFBIG                   ? "; the file size limit is reached"
                                                          : "";
  throw_bad_input(fmt::format("{}: {}: {}{}", escaped(target_.string()), what, std::strerror(cause), remedy));
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

void AtomicFile::pad_to(uint64_t position) {
  static constexpr std::byte zeros[256] = {};
  while (position_ < position) write(std::span(zeros, std::min<uint64_t>(sizeof zeros, position - position_)));
}

void AtomicFile::overwrite(uint64_t position, std::span<const std::byte> bytes) {
  flush();
  if (::lseek(fd_, static_cast<off_t>(position), SEEK_SET) < 0) fail("writing failed");
  drain(bytes);
  if (::lseek(fd_, static_cast<off_t>(position_), SEEK_SET) < 0) fail("writing failed");
}

void AtomicFile::flush() {
  drain(buffer_);
  buffer_.clear();
}

void AtomicFile::commit() {
  flush();
  struct stat existing {};
  if (::stat(target_.c_str(), &existing) == 0) ::fchmod(fd_, existing.st_mode & 07777);
  if (::fsync(fd_) != 0) fail("writing failed");
  if (!named_) {
    if (::linkat(AT_FDCWD, temporary_path().c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) fail("cannot be written");
    named_ = true;
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be replaced");
  ::close(fd_);
  fd_ = -1;
}

void write_file_atomically(const std::filesystem::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  file.commit();
}

}  // namespace intaglio
