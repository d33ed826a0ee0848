#include "base/inputs.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"

namespace intaglio {
namespace {

struct Inputs {
  std::mutex guard;
  bool are_remembered = false;
  std::map<std::string, struct stat> files;  // by the path they were opened by
  std::set<std::string> written;             // of this run itself
};

Inputs& inputs() {
  static Inputs all;
  return all;
}

// What has no name yet is read back through this folder.
bool is_of_a_process(const std::string& path) { return path.starts_with("/proc/"); }

bool is_same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

bool is_within(const std::filesystem::path& folder, const std::string& file) {
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::canonical(folder, error), inner = std::filesystem::canonical(file, error);
  return !error && std::mismatch(whole.begin(), whole.end(), inner.begin(), inner.end()).first == whole.end();
}

}  // namespace

void remember_inputs() { inputs().are_remembered = true; }

void add_input(const std::filesystem::path& path, const struct stat& opened) {
  Inputs& all = inputs();
  if (!all.are_remembered || is_of_a_process(path.native())) return;
  const std::lock_guard lock(all.guard);
  if (!all.written.contains(path.native())) all.files.emplace(path.native(), opened);
}

void forget_input(const std::filesystem::path& path) {
  Inputs& all = inputs();
  if (!all.are_remembered) return;
  const std::lock_guard lock(all.guard);
  all.files.erase(path.native());
  all.written.insert(path.native());
}

std::string changed_input() {
  Inputs& all = inputs();
  const std::lock_guard lock(all.guard);
  for (const auto& [path, opened] : all.files) {
    struct stat now {};
    if (::stat(path.c_str(), &now) == 0 && !(is_same_file(opened, now) && is_same_state(opened, now))) return escaped(path);
  }
  return {};
}

void throw_is_input(const std::filesystem::path& target) {
  throw_usage(fmt::format("{}: is an input of this command and would be lost; write to another file", escaped(target.string())));
}

void require_no_input(const std::filesystem::path& target) {
  Inputs& all = inputs();
  struct stat there {};
  if (!all.are_remembered || ::stat(target.c_str(), &there) != 0) return;
  const std::lock_guard lock(all.guard);
  for (const auto& [path, opened] : all.files) {
    struct stat now {};
    if (::stat(path.c_str(), &now) != 0) continue;
    if (is_same_file(there, now) || (S_ISDIR(there.st_mode) && is_within(target, path))) throw_is_input(target);
  }
}

}  // namespace intaglio
