#include "base/causes.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

namespace intaglio {

std::string cause_text(int cause) {
  static constexpr struct {
    int cause;
    const char* remedy;
  } remedies[] = {
      {ENOSPC, "free some space or choose another place"},
      {EDQUOT, "free some space or choose another place"},
      {EFBIG, "the file size limit is reached, raise it (`ulimit -f`)"},
      {EACCES, "this user needs the permission"},
      {EPERM, "this user needs the permission"},
      {EROFS, "choose another place"},
      {ENAMETOOLONG, "choose a shorter name"},
      {ENOTDIR, "check the path"},
      {ELOOP, "check the path"},
      {EMFILE, "raise the limit of open files (`ulimit -n`)"},
      {ENFILE, "end other programs, or raise the system's limit of open files"},
      {EAGAIN, "raise the limit of processes (`ulimit -u`)"},
      {ENOMEM, "raise the limit of memory (`ulimit -v`)"},
  };
  const auto row = std::ranges::find_if(remedies, [cause](const auto& each) { return each.cause == cause; });
  return std::string(std::strerror(cause)) + (row == std::end(remedies) ? "" : std::string("; ") + row->remedy);
}

}  // namespace intaglio
