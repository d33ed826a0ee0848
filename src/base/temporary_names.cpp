#include "base/temporary_names.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <new>
#include <string_view>

#include <fmt/format.h>

#include "base/leftovers.h"

namespace intaglio {
namespace {

constexpr size_t longest_stem = 200;  // of the 255 bytes that names have

// The process that made a file of this name, 0 if it is none of these names.
pid_t maker_of(std::string_view name, std::string_view start) {
  if (!name.starts_with(start) || !name.ends_with(".tmp")) return 0;
  name.remove_prefix(start.size());
  pid_t maker = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), maker);
  return error == std::errc() && end != name.data() + name.size() && *end == '.' && maker > 0 ? maker : 0;
}

bool is_gone(pid_t process) { return ::kill(process, 0) != 0 && errno == ESRCH; }

void remove_if_left(int folder, const char* name) {
  struct stat status {};
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_uid != ::geteuid()) return;
  const bool is_folder = S_ISDIR(status.st_mode);
  if (!is_folder && !S_ISREG(status.st_mode)) return;
  const int file = ::openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return;
  if (::flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
    if (is_folder) empty_folder(file);
    ::unlinkat(folder, name, is_folder ? AT_REMOVEDIR : 0);
  }
  ::close(file);
}

}  // namespace

std::string temporary_prefix(const std::filesystem::path& target) {
  return (target.parent_path() / fmt::format(".{}.", target.filename().string().substr(0, longest_stem))).string();
}

std::string next_temporary(const std::string& prefix) {
  static std::atomic<unsigned> counter{0};
  return fmt::format("{}{}.{}.tmp", prefix, ::getpid(), counter++);
}

void hold_temporary(int file) {
  while (::flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EINTR) {}
}

void remove_abandoned(const std::string& prefix) noexcept try {
  const std::filesystem::path path = prefix;
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".", start = path.filename().string();
  DIR* entries = ::opendir(folder.c_str());
  if (entries == nullptr) return;
  while (const dirent* entry = ::readdir(entries))
    if (const pid_t maker = maker_of(entry->d_name, start); maker != 0 && is_gone(maker)) remove_if_left(::dirfd(entries), entry->d_name);
  ::closedir(entries);
} catch (const std::bad_alloc&) {}

}  // namespace intaglio
