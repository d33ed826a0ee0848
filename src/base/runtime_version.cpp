#include <intaglio/runtime_version.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

void insert(std::vector<RuntimeNeed>& needs, RuntimeNeed need) {
  if (need.since == oldest_runtime) return;
  const auto newest_first = [](const RuntimeNeed& a, const RuntimeNeed& b) {
    return a.since != b.since ? a.since > b.since : a.what < b.what;
  };
  const auto place = std::ranges::lower_bound(needs, need, newest_first);
  if (place == needs.end() || *place != need) needs.insert(place, std::move(need));
}

// Of the needs that decide the version: the others follow from it.
std::string version_text(const std::vector<RuntimeNeed>& needs) {
  constexpr size_t most = 5;
  std::vector<std::string> reasons;
  for (const RuntimeNeed& need : needs)
    if (need.since == needs.front().since) reasons.push_back(need.what);
  const size_t all = reasons.size();
  if (all > most) reasons.resize(most);
  return fmt::format(">= {} ({}{})", name(needs.front().since), fmt::join(reasons, ", "),
                     all > most ? fmt::format(" and {} more", all - most) : "");
}

}  // namespace

std::string name(RuntimeVersion version) { return fmt::format("1.{}", static_cast<int>(version)); }

std::vector<std::string> runtime_version_names() {
  std::vector<std::string> names;
  for (int minor = 0; minor <= static_cast<int>(newest_runtime); ++minor) names.push_back(name(static_cast<RuntimeVersion>(minor)));
  return names;
}

RuntimeVersion runtime_version(std::string_view text) {
  const std::vector<std::string> names = runtime_version_names();
  const auto found = std::ranges::find(names, text);
  if (found == names.end()) throw_bug(fmt::format("there is no ExecuTorch '{}'", escaped(text)));
  return static_cast<RuntimeVersion>(found - names.begin());
}

void RuntimeNeeds::add(RuntimeNeed need) { insert(needs_, std::move(need)); }
void RuntimeNeeds::add_from_file(RuntimeNeed need) { insert(from_file_, std::move(need)); }
void RuntimeNeeds::add(const RuntimeNeeds& others) {
  for (const RuntimeNeed& need : others.needs_) add(need);
  for (const RuntimeNeed& need : others.from_file_) add_from_file(need);
}

std::string to_string(const RuntimeNeeds& needs) {
  std::string text = "needs ExecuTorch " + (needs.needs().empty() ? ">= " + name(oldest_runtime) : version_text(needs.needs()));
  if (needs.since_from_file() > needs.since()) text += "; to load it from a file " + version_text(needs.from_file());
  return text;
}

}  // namespace intaglio
