#include <intaglio/warning.h>

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace intaglio {
namespace {

constexpr size_t most_named = 3;  // places of one line, the first's among them

// What is said, with nothing in place of numbers and of what stands in quotation marks.
std::string kind_of(const Warning& warning) {
  std::string kind;
  bool quoted = false, number = false;
  for (const char c : std::string_view(warning.text).substr(warning.place.size())) {
    number = std::string_view("0123456789.-").find(c) != std::string_view::npos || (number && c == 'e');
    if (c == '\'') quoted = !quoted;
    else if (!quoted && !number) kind += c;
  }
  return kind;
}

std::string line_of(const std::vector<const Warning*>& group) {
  std::string line = group.front()->text;
  if (group.size() == 1) return line;
  if (group.front()->place.empty()) return line + fmt::format("; and {} more like it", group.size() - 1);
  std::vector<std::string_view> places;
  for (size_t i = 1; i < std::min(group.size(), most_named); ++i) places.push_back(group[i]->place);
  line += fmt::format("; likewise {}", fmt::join(places, ", "));
  return group.size() > most_named ? line + fmt::format(" and {} more", group.size() - most_named) : line;
}

}  // namespace

std::vector<std::string> grouped(std::span<const Warning> warnings) {
  std::vector<std::vector<const Warning*>> groups;
  std::map<std::string, size_t> known;
  for (const Warning& warning : warnings) {
    const auto [at, is_new] = known.try_emplace(kind_of(warning), groups.size());
    if (is_new) groups.emplace_back();
    groups[at->second].push_back(&warning);
  }
  std::vector<std::string> lines;
  for (const auto& group : groups) lines.push_back(line_of(group));
  return lines;
}

}  // namespace intaglio
