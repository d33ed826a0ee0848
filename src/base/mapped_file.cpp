#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/causes.h"
#include "base/inputs.h"

namespace intaglio {

// All that are mapped. A signal handler reads it, so its lock spins and nothing is allocated under it.
class MappedFiles {
 public:
  static void add(MappedFile& file) {
    const Lock lock;
    file.next_ = first;
    if (first) first->previous_ = &file;
    first = &file;
  }
  static void remove(MappedFile& file) {
    const bool changed = file.changed();
    const Lock lock;
    if (changed) was_changed.swap(file.shown_);
    (file.previous_ ? file.previous_->next_ : first) = file.next_;
    if (file.next_) file.next_->previous_ = file.previous_;
  }
  static std::string take_changed() {
    const Lock lock;
    std::string found;
    found.swap(was_changed);
    for (const MappedFile* file = first; file && found.empty(); file = file->next_)
      if (file->changed()) found = file->shown_;
    return found;
  }
  static bool contains(const std::byte* address) {
    const Lock lock;
    for (const MappedFile* file = first; file; file = file->next_)
      if (address >= file->data_ && address < file->data_ + file->size_) return true;
    return false;
  }

 private:
  struct Lock {
    Lock() {
      while (taken.test_and_set(std::memory_order_acquire)) {}
    }
    ~Lock() { taken.clear(std::memory_order_release); }
  };
  inline static std::atomic_flag taken;
  inline static MappedFile* first = nullptr;
  inline static std::string was_changed;
};

MappedFile::MappedFile(const std::filesystem::path& path) : shown_(escaped(path.string())) {
  // Non-blocking: opening a pipe nobody writes to would wait for ever.
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    if (errno == ENOENT) throw_bad_input(fmt::format("{}: no such file; check the path", shown_));
    throw_bad_input(fmt::format("{}: cannot be opened: {}", shown_, cause_text(errno)));
  }
  try {
    if (::fstat(fd_, &opened_) != 0) throw_bad_input(fmt::format("{}: {}", shown_, std::strerror(errno)));
    if (S_ISDIR(opened_.st_mode)) throw_bad_input(fmt::format("{}: is a directory, a file is needed", shown_));
    if (!S_ISREG(opened_.st_mode)) throw_bad_input(fmt::format("{}: is not a regular file; write it to one first", shown_));
    add_input(path, opened_);
    if (opened_.st_size > 0) {
      void* data = ::mmap(nullptr, static_cast<size_t>(opened_.st_size), PROT_READ, MAP_PRIVATE, fd_, 0);
      if (data == MAP_FAILED) throw_bad_input(fmt::format("{}: cannot be mapped: {}", shown_, cause_text(errno)));
      data_ = static_cast<const std::byte*>(data);
      size_ = static_cast<size_t>(opened_.st_size);
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
  MappedFiles::add(*this);
}

std::shared_ptr<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  return std::shared_ptr<MappedFile>(new MappedFile(path));
}

MappedFile::~MappedFile() {
  MappedFiles::remove(*this);
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(fd_);
}

bool MappedFile::changed() const {
  struct stat now {};
  return ::fstat(fd_, &now) == 0 && !is_same_state(opened_, now);
}

bool is_same_state(const struct stat& before, const struct stat& after) {
  return after.st_size == before.st_size && after.st_mtim.tv_sec == before.st_mtim.tv_sec &&
         after.st_mtim.tv_nsec == before.st_mtim.tv_nsec;
}

void require_mapped_files_unchanged() {
  std::string changed = MappedFiles::take_changed();
  if (changed.empty()) changed = changed_input();
  if (!changed.empty())
    throw_bad_input(changed + ": was changed while it was read, and nothing was written; run again when nothing else writes to it");
}

namespace {

struct sigaction otherwise;  // what was there before

void put_zeros(int signal, siginfo_t* info, void* context) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  void* start = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(info->si_addr) & ~(page - 1));
  if (info->si_code > 0 && MappedFiles::contains(static_cast<const std::byte*>(info->si_addr)) &&
      ::mmap(start, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
    return;
  if ((otherwise.sa_flags & SA_SIGINFO) != 0) return otherwise.sa_sigaction(signal, info, context);
  std::signal(SIGBUS, SIG_DFL);  // not ours: the same instruction ends the process
}

}  // namespace

void survive_truncated_files() {
  struct sigaction action {};
  action.sa_sigaction = put_zeros;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, &otherwise);
}

}  // namespace intaglio
