#include "cli/files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>
#include <system_error>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/is_there.h"

namespace intaglio::cli {
namespace fs = std::filesystem;
namespace {

// Where a file is, or would be: links are followed to what they name, whether that exists or not. Those that lead in a circle name nothing.
fs::path place_of(fs::path path) try {
  constexpr int most_links = 40;
  for (int links = 0; links < most_links && fs::is_symlink(path); ++links) path = path.parent_path() / fs::read_symlink(path);
  return fs::weakly_canonical(fs::absolute(path));
} catch (const fs::filesystem_error& error) {
  if (error.code() != std::errc::too_many_symbolic_link_levels) throw;
  return path.lexically_normal();
}

// By device and inode; of files that do not exist yet, by the place they would have.
bool same_file(const std::string& a, const std::string& b) {
  return is_there(a) && is_there(b) ? fs::equivalent(a, b) : place_of(a) == place_of(b);
}

// What commands read of a folder: samples, weights, the facts of a language model. Other files there are nobody's input.
bool is_read_in_folders(const fs::path& file) {
  static constexpr std::string_view endings[] = {
      ".npy", ".npz", ".png", ".jpg", ".jpeg", ".safetensors", ".safetensors.index.json", "config.json", "tokenizer.json"};
  std::string name = file.filename().string();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::ranges::any_of(endings, [&](std::string_view ending) { return name.ends_with(ending); });
}

bool is_input(const std::string& input, const std::string& output) {
  if (same_file(input, output)) return true;
  if (!is_there(output) || !is_there(input) || !fs::is_directory(input)) return false;
  const fs::directory_iterator files(input);
  return std::any_of(begin(files), end(files), [&](const fs::directory_entry& file) {
    return is_read_in_folders(file.path()) && same_file(file.path().string(), output);
  });
}

}  // namespace

void require_distinct_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs) try {
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].empty()) continue;
    for (const std::string& input : inputs)
      if (!input.empty() && is_input(input, outputs[i]))
        throw_usage(fmt::format("{}: is an input of this command and would be lost; write to another file", escaped(outputs[i])));
    for (size_t j = 0; j < i; ++j)
      if (!outputs[j].empty() && same_file(outputs[j], outputs[i]))
        throw_usage(fmt::format("{}: two outputs of this command would be this file; name another", escaped(outputs[i])));
  }
} catch (const fs::filesystem_error& error) {
  throw_bad_input(fmt::format("{}: {}", escaped(error.path1().string()), error.code().message()));
}

}  // namespace intaglio::cli
