#include "base/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace intaglio {

struct Leftover::Entry {
  std::string path;
  int folder = -1;  // open all the while: it can be emptied when no more files can be opened
  Entry *previous = nullptr, *next = nullptr;
};

// All that there are.
class Leftovers {
 public:
  // A signal handler takes the lock too, so no signal comes while it is held.
  class Lock {
   public:
    Lock() {
      sigset_t coming;
      sigfillset(&coming);
      for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigdelset(&coming, fault);
      ::pthread_sigmask(SIG_BLOCK, &coming, &before_);
      take();
    }
    ~Lock() {
      taken.clear(std::memory_order_release);
      ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

   private:
    sigset_t before_;
  };

  static void take() {
    while (taken.test_and_set(std::memory_order_acquire)) ::sched_yield();
  }
  static void add(Leftover::Entry& entry) {
    entry.next = first;
    if (first) first->previous = &entry;
    first = &entry;
  }
  static void remove(const Leftover::Entry& entry) {
    (entry.previous ? entry.previous->next : first) = entry.next;
    if (entry.next) entry.next->previous = entry.previous;
  }
  static void unlink(const Leftover::Entry& entry);
  static void unlink_all();

 private:
  inline static std::atomic_flag taken;
  inline static Leftover::Entry* first = nullptr;
};

namespace {

// Folders inside are followed so far; nobody makes deeper ones.
constexpr int deepest = 8;

void empty_folder(int folder, int depth = 0);

bool remove_entry(int folder, const char* name, int depth) {
  if (::unlinkat(folder, name, 0) == 0) return true;
  const std::string_view text(name);
  if (depth == deepest || text == "." || text == "..") return false;
  const int inner = ::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner < 0) return false;
  empty_folder(inner, depth + 1);
  ::close(inner);
  return ::unlinkat(folder, name, AT_REMOVEDIR) == 0;
}

void empty_folder(int folder, int depth) {
  alignas(dirent64) char entries[4096];
  bool removed;
  do {
    removed = false;
    for (ssize_t got; (got = ::getdents64(folder, entries, sizeof entries)) > 0;)
      for (ssize_t at = 0; at < got;) {
        const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
        removed = remove_entry(folder, entry->d_name, depth) || removed;
        at += entry->d_reclen;
      }
  } while (removed && ::lseek(folder, 0, SEEK_SET) == 0);
}

}  // namespace

void Leftovers::unlink_all() {
  for (const Leftover::Entry* entry = first; entry; entry = entry->next) unlink(*entry);
}

void Leftovers::unlink(const Leftover::Entry& entry) {
  if (entry.folder < 0) {
    ::unlink(entry.path.c_str());
    return;
  }
  empty_folder(entry.folder);
  ::rmdir(entry.path.c_str());
}

Leftover::Leftover() = default;

Leftover::Leftover(std::string path, const std::function<bool(char*)>& make) {
  auto entry = std::make_unique<Entry>(Entry{std::move(path)});
  const Leftovers::Lock lock;
  if (!make(entry->path.data())) return;
  entry_ = std::move(entry);
  Leftovers::add(*entry_);
}

Leftover Leftover::folder(std::string pattern) {
  int opened = -1;
  Leftover made(std::move(pattern), [&](char* path) {
    if (::mkdtemp(path) == nullptr) return false;
    opened = ::open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (opened >= 0) return true;
    const int cause = errno;
    ::rmdir(path);
    errno = cause;
    return false;
  });
  if (made.exists()) made.entry_->folder = opened;
  return made;
}

Leftover::Leftover(Leftover&& other) noexcept = default;

Leftover& Leftover::operator=(Leftover&& other) noexcept {
  std::swap(entry_, other.entry_);
  return *this;
}

Leftover::~Leftover() {
  if (!entry_) return;
  Leftovers::unlink(*entry_);
  keep();
}

const std::string& Leftover::path() const { return entry_->path; }

void Leftover::keep() {
  {
    const Leftovers::Lock lock;
    Leftovers::remove(*entry_);
  }
  if (entry_->folder >= 0) ::close(entry_->folder);
  entry_.reset();
}

void remove_leftovers() noexcept {
  Leftovers::take();
  Leftovers::unlink_all();
}

}  // namespace intaglio
