#include <intaglio/settings.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

std::optional<int64_t> integer_of(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

void check(const Setting& setting, const std::string& value) {
  const auto fail = [&](const std::string& expected) {
    throw_usage(fmt::format("setting {}={}: must be {}", setting.name, escaped(value), expected));
  };
  if (setting.type == Setting::Type::integer) {
    const std::optional<int64_t> number = integer_of(value);
    if (!number || *number < setting.smallest || *number > setting.largest)
      fail(fmt::format("an integer from {} to {}", setting.smallest, setting.largest));
    return;
  }
  if (setting.type == Setting::Type::word && setting.words.empty()) return;
  const std::vector<std::string> words = setting.type == Setting::Type::boolean ? std::vector<std::string>{"false", "true"} : setting.words;
  if (std::ranges::find(words, value) == words.end()) fail(fmt::format("{}", fmt::join(words, " or ")));
}

}  // namespace

SettingValues::SettingValues(const std::vector<Setting>& known, const RecipeSettings& given, const std::string& owner) {
  for (const Setting& setting : known) values_[setting.name] = setting.default_value;
  for (const auto& [name, value] : given) {
    const auto setting = std::ranges::find(known, name, &Setting::name);
    if (setting == known.end()) {
      std::vector<std::string> names;
      for (const Setting& other : known) names.push_back(other.name);
      throw_usage(fmt::format("{} has no setting '{}'; it has: {}", owner, escaped(name), fmt::join(names, ", ")));
    }
    check(*setting, value);
    values_[name] = value;
  }
}

int64_t SettingValues::integer(std::string_view name) const { return *integer_of(word(name)); }

const std::string& SettingValues::word(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw_bug(fmt::format("there is no setting '{}'", name));
  return found->second;
}

}  // namespace intaglio
