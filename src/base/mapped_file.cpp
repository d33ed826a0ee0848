#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

std::shared_ptr<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const std::string shown = escaped(path.string());
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) {
    if (errno == ENOENT) throw_bad_input(fmt::format("{}: no such file; check the path", shown));
    throw_bad_input(fmt::format("{}: cannot be opened: {}", shown, std::strerror(errno)));
  }
  struct stat status {};
  if (::fstat(file.fd, &status) != 0) throw_bad_input(fmt::format("{}: {}", shown, std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) throw_bad_input(fmt::format("{}: is a directory, a file is needed", shown));
  if (!S_ISREG(status.st_mode)) throw_bad_input(fmt::format("{}: is not a regular file", shown));

  std::shared_ptr<MappedFile> result(new MappedFile);
  if (status.st_size == 0) return result;
  void* data = ::mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (data == MAP_FAILED) throw_bad_input(fmt::format("{}: cannot be mapped: {}", shown, std::strerror(errno)));
  result->data_ = static_cast<const std::byte*>(data);
  result->size_ = static_cast<size_t>(status.st_size);
  return result;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace intaglio
