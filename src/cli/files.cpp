#include "cli/files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/inputs.h"
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

// What cannot be looked at is read by nobody.
bool is_input(const std::string& input, const std::string& output) try {
  if (same_file(input, output)) return true;
  if (!is_there(output) || !is_there(input) || !fs::is_directory(input)) return false;
  const fs::directory_iterator files(input);
  return std::any_of(begin(files), end(files), [&](const fs::directory_entry& file) {
    return is_read_in_folders(file.path()) && same_file(file.path().string(), output);
  });
} catch (const fs::filesystem_error&) { return false; } catch (const Error&) {
  return false;
}

constexpr const char* read_file = "FILE";
constexpr const char* setting = "KEY=VALUE";
constexpr const char* written_file = "TARGET";
constexpr const char* text_to_read = "WORDS";

std::vector<std::string> given_to(const CLI::App& command, std::initializer_list<std::string_view> kinds) {
  std::vector<std::string> all;
  for (const CLI::Option* option : command.get_options())
    if (std::ranges::find(kinds, option->get_type_name()) != kinds.end())
      for (const std::string& given : option->results())
        if (!given.empty()) all.push_back(given);
  return all;
}

// `prefill=A.pt2` and `enn_binary=FILE` name a file behind their first `=`; a path may hold one, too.
std::vector<std::string> inputs_of(const CLI::App& command) {
  std::vector<std::string> files = given_to(command, {read_file, setting});
  for (size_t i = files.size(); i-- > 0;)
    if (const size_t equals = files[i].find('='); equals != std::string::npos) files.push_back(files[i].substr(equals + 1));
  return files;
}

}  // namespace

CLI::Option* reading(CLI::Option* option) { return option->type_name(read_file); }
CLI::Option* key_and_value(CLI::Option* option) { return option->type_name(setting); }
CLI::Option* writing(CLI::Option* option) { return option->type_name(written_file); }
CLI::Option* any_text(CLI::Option* option) { return option->type_name(text_to_read); }

bool writes_files(const CLI::App& command) { return !given_to(command, {written_file}).empty(); }

void require_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const bool takes_values = option->get_items_expected_max() > 0 && option->get_type_name() != text_to_read;
    if (takes_values && std::ranges::any_of(option->results(), &std::string::empty))
      throw_usage(fmt::format("{}: nothing is given; give a value or leave the option out", option->get_name()));
  }
}

void require_distinct_files(const CLI::App& command) try {
  const std::vector<std::string> inputs = inputs_of(command), outputs = given_to(command, {written_file});
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (const std::string& input : inputs)
      if (!input.empty() && is_input(input, outputs[i])) throw_is_input(outputs[i]);
    for (size_t j = 0; j < i; ++j)
      if (same_file(outputs[j], outputs[i]))
        throw_usage(fmt::format("{}: two outputs of this command would be this file; name another", escaped(outputs[i])));
  }
} catch (const fs::filesystem_error& error) {
  throw_bad_input(fmt::format("{}: {}", escaped(error.path1().string()), error.code().message()));
}

}  // namespace intaglio::cli
