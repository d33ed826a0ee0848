#include "base/leftovers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "base/temporary_names.h"

namespace intaglio {

struct Leftover::Entry {
  std::string path;
  // Open all the while, and the place of one more: it can be emptied when no more files can be opened.
  int folder = -1, spare = -1;
  Entry *previous = nullptr, *next = nullptr;
};

// All that there are.
class Leftovers {
 public:
  // A signal handler takes the lock too, so no signal comes to this thread while it is held.
  class Lock {
   public:
    Lock() {
      sigset_t coming;
      sigfillset(&coming);
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
  static void unlink(Leftover::Entry& entry);
  static void unlink_all();

 private:
  inline static std::atomic_flag taken;
  inline static Leftover::Entry* first = nullptr;
};

namespace {

// Calls `remove(name)`, which says whether that has gone, for what is in the folder, from the start and until none goes.
template <typename Remove>
void for_all(int folder, const Remove& remove) {
  alignas(dirent64) char entries[4096];
  bool removed;
  ::lseek(folder, 0, SEEK_SET);  // where it is already, unless reading it was begun
  do {
    removed = false;
    for (ssize_t got; (got = ::getdents64(folder, entries, sizeof entries)) > 0;)
      for (ssize_t at = 0; at < got;) {
        const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
        const std::string_view name(entry->d_name);
        removed = (name != "." && name != ".." && remove(entry->d_name)) || removed;
        at += entry->d_reclen;
      }
  } while (removed && ::lseek(folder, 0, SEEK_SET) == 0);
}

// Folders inside this one go up to `above`, where they are found next: however deep they stand, no more than two are open.
bool remove_folder(int above, const char* name) {
  static std::atomic<unsigned> moved{0};
  const int folder = ::openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (folder < 0) return false;
  for_all(folder, [&](const char* inner) {
    if (::unlinkat(folder, inner, 0) == 0) return true;
    char other[32];
    std::snprintf(other, sizeof other, ".moved.%u", moved++);
    return ::renameat2(folder, inner, above, other, RENAME_NOREPLACE) == 0;
  });
  ::close(folder);
  return ::unlinkat(above, name, AT_REMOVEDIR) == 0;
}

}  // namespace

void empty_folder(int folder) {
  for_all(folder, [&](const char* name) { return ::unlinkat(folder, name, 0) == 0 || remove_folder(folder, name); });
}

void Leftovers::unlink_all() {
  for (Leftover::Entry* entry = first; entry; entry = entry->next) unlink(*entry);
}

void Leftovers::unlink(Leftover::Entry& entry) {
  if (entry.folder < 0) {
    ::unlink(entry.path.c_str());
    return;
  }
  if (entry.spare >= 0) ::close(std::exchange(entry.spare, -1));
  // Another thread may be about to write into it.
  constexpr int most_tries = 1000;
  for (int tries = 0; tries < most_tries; ++tries) {
    empty_folder(entry.folder);
    if (::rmdir(entry.path.c_str()) == 0 || (errno != ENOTEMPTY && errno != EEXIST)) return;
  }
}

Leftover::Leftover() = default;

Leftover::Leftover(std::string path, const std::function<bool(const char*)>& make)
    : Leftover(std::move(path), OfEntry([&](Entry& entry) { return make(entry.path.c_str()); })) {}

Leftover::Leftover(std::string path, const OfEntry& make) {
  auto entry = std::make_unique<Entry>(Entry{std::move(path)});
  const Leftovers::Lock lock;
  if (!make(*entry)) return;
  entry_ = std::move(entry);
  Leftovers::add(*entry_);
}

Leftover Leftover::folder(const std::string& prefix) {
  constexpr int most_tries = 1000;  // a name that is taken, by whatever, is passed over
  remove_abandoned(prefix);
  const OfEntry make = [](Entry& entry) {
    if (::mkdir(entry.path.c_str(), 0700) != 0) return false;
    entry.folder = ::open(entry.path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (entry.folder >= 0) entry.spare = ::fcntl(entry.folder, F_DUPFD_CLOEXEC, 0);
    if (entry.spare >= 0) {
      hold_temporary(entry.folder);
      return true;
    }
    const int cause = errno;
    if (entry.folder >= 0) ::close(entry.folder);
    ::rmdir(entry.path.c_str());
    errno = cause;
    return false;
  };
  Leftover made;
  for (int tries = 0; tries < most_tries && !made.exists(); ++tries) {
    made = Leftover(next_temporary(prefix), make);
    if (!made.exists() && errno != EEXIST) break;
  }
  return made;
}

Leftover::Leftover(Leftover&& other) noexcept = default;

Leftover& Leftover::operator=(Leftover&& other) noexcept {
  std::swap(entry_, other.entry_);
  return *this;
}

Leftover::~Leftover() {
  if (!entry_) return;
  {
    const Leftovers::Lock lock;
    Leftovers::unlink(*entry_);
    Leftovers::remove(*entry_);
  }
  close();
}

const std::string& Leftover::path() const { return entry_->path; }

void Leftover::keep() {
  {
    const Leftovers::Lock lock;
    Leftovers::remove(*entry_);
  }
  close();
}

void Leftover::close() {
  for (const int file : {entry_->folder, entry_->spare})
    if (file >= 0) ::close(file);
  entry_.reset();
}

void remove_leftovers() noexcept {
  Leftovers::take();
  Leftovers::unlink_all();
}

}  // namespace intaglio
