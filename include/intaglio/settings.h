// Settings of recipes and backends: what may be said, and what was said once it is checked.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)

namespace intaglio {

// As `--set key=value` gives them.
using RecipeSettings = std::map<std::string, std::string>;

struct Setting {
  enum class Type { boolean, integer, word };
  std::string name;
  Type type = Type::word;
  std::string default_value;
  std::string help;
  std::vector<std::string> words = {};  // what a word may be; none: any text
  int64_t smallest = std::numeric_limits<int64_t>::min();
  int64_t largest = std::numeric_limits<int64_t>::max();
};

// A value for every setting that something has.
class SettingValues {
 public:
  // Defaults where nothing is given. Usage errors, which name `owner` ("recipe 'x'"): a setting it does not have, a value
  // that the setting cannot take.
  SettingValues(const std::vector<Setting>& known, const RecipeSettings& given, const std::string& owner);
  SettingValues() = default;

  bool has(std::string_view name) const { return values_.contains(name); }
  // Bug errors when there is no such setting.
  bool flag(std::string_view name) const { return word(name) == "true"; }
  int64_t integer(std::string_view name) const;
  const std::string& word(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace intaglio

#pragma GCC visibility pop
