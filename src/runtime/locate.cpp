#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

#include <intaglio/error.h>

#include "runtime/runtime.h"

namespace intaglio::runtime {
namespace fs = std::filesystem;
namespace {

bool holds_runtime(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "intaglio-runner", ignored);
}

// The tree this file was built in, for programs that still lie in it. A copy elsewhere looks around itself alone: what stands
// above it may be anybody's.
fs::path in_build_tree(const fs::path& folder) {
  std::error_code error;
  const fs::path build = fs::canonical(INTAGLIO_BUILD_DIR, error);
  const auto [end, ignored] = std::mismatch(build.begin(), build.end(), folder.begin(), folder.end());
  return !error && end == build.end() ? build / "lib/intaglio" : fs::path();
}

// The folders of the program and of the library this code was linked into.
std::vector<fs::path> own_folders() {
  std::vector<fs::path> folders;
  std::error_code error;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&in_build_tree), &info) != 0 && info.dli_fname) {
    auto path = fs::canonical(info.dli_fname, error);
    if (!error) folders.push_back(path.parent_path());
  }
  auto program = fs::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(program.parent_path());
  return folders;
}

}  // namespace

fs::path runtime_directory() {
  if (const char* chosen = std::getenv("INTAGLIO_RUNTIME_DIR"); chosen && *chosen) {
    if (holds_runtime(chosen)) return chosen;
    throw_bad_input("INTAGLIO_RUNTIME_DIR=" + escaped(chosen) + " holds no intaglio-runner; unset it or correct it");
  }
  for (const auto& own : own_folders()) {
    for (const char* relative : {"intaglio", "../lib/intaglio"})
      if (holds_runtime(own / relative)) return (own / relative).lexically_normal();
    if (auto folder = in_build_tree(own); holds_runtime(folder)) return folder;
  }
  throw_bad_input(
      "the ExecuTorch runtime (intaglio-runner) was not found beside this program; install it or set "
      "INTAGLIO_RUNTIME_DIR to its folder");
}

}  // namespace intaglio::runtime
