#include "cli/files.h"

#include <filesystem>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::cli {
namespace fs = std::filesystem;
namespace {

// Where a file is, or would be: links are followed to what they name, whether that exists or not.
fs::path place_of(fs::path path) {
  constexpr int most_links = 40;
  std::error_code error;
  for (int links = 0; links < most_links && fs::is_symlink(path, error); ++links) path = path.parent_path() / fs::read_symlink(path, error);
  return fs::weakly_canonical(fs::absolute(path, error), error);
}

// By device and inode; of files that do not exist yet, by the place they would have.
bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::exists(a, error) && fs::exists(b, error)) return fs::equivalent(a, b, error);
  return place_of(a) == place_of(b);
}

}  // namespace

void require_distinct_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty()) continue;
    for (const std::string& input : inputs)
      if (!input.empty() && same_file(input, outputs[i]))
        throw_usage(fmt::format("{}: is an input of this command and would be lost; write to another file", escaped(outputs[i])));
    for (size_t j = 0; j < i; ++j)
      if (!outputs[j].empty() && same_file(outputs[j], outputs[i]))
        throw_usage(fmt::format("{}: two outputs of this command would be this file; name another", escaped(outputs[i])));
  }
}

}  // namespace intaglio::cli
