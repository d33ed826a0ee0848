#include "cli/misspelt.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/edit_distance.h"

namespace intaglio::cli {
namespace {

// The nearest one, or all of them where none is near.
std::string meant(std::string_view word, const std::vector<std::string>& known) {
  const auto distance = [&](const std::string& name) { return edit_distance(word, name); };
  const auto nearest = std::ranges::min_element(known, {}, distance);
  // One that goes on is near, too: `--calib`.
  const auto begun = std::ranges::find_if(known, [&](const std::string& name) { return name.starts_with(word) && word.size() > 3; });
  if (begun != known.end()) return fmt::format("did you mean '{}'?", *begun);
  if (distance(*nearest) <= 1 + word.size() / 4) return fmt::format("did you mean '{}'?", *nearest);
  return fmt::format("there are {}", fmt::join(known, ", "));
}

std::vector<std::string> long_options(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::App* app : {&command, command.get_parent()})
    for (const CLI::Option* option : app->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

}  // namespace

std::optional<std::string> misspelt(const CLI::App& app, int argc, const char* const* argv) {
  const std::vector<std::string_view> words(argv + std::min(argc, 1), argv + argc);
  if (words.empty() || words[0].starts_with('-')) return std::nullopt;
  std::vector<std::string> commands;
  const CLI::App* command = nullptr;
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands.push_back(each->get_name());
    if (each->get_name() == words[0]) command = each;
  }
  if (command == nullptr) return fmt::format("unknown command '{}'; {}", escaped(words[0]), meant(words[0], commands));
  const std::vector<std::string> options = long_options(*command);
  for (const std::string_view word : words) {
    const std::string_view name = word.substr(0, word.find('='));
    if (!name.starts_with("--") || name == "--" || std::ranges::find(options, name) != options.end()) continue;
    return fmt::format("`{}` has no option '{}'; {}", command->get_name(), escaped(name), meant(name, options));
  }
  return std::nullopt;
}

}  // namespace intaglio::cli
