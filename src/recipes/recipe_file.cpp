#include "recipes/recipe_file.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "quantize_api/check.h"
#include "recipes/quantize_rules.h"
#include "recipes/rules.h"

namespace intaglio::recipes {
namespace {

using nlohmann::json;

constexpr std::string_view schema = "intaglio-recipe/1";

class RecipeReader {
 public:
  RecipeReader(std::string file, RecipeSettings settings, std::span<const Backend> known)
      : file_(std::move(file)), given_(std::move(settings)), known_(known) {}

  Recipe read(const json& document) {
    check_keys(document, "", {"schema", "name", "backend", "settings", "rules"});
    if (text(document, "", "schema") != schema) fail("schema", fmt::format("must be \"{}\"", schema));
    Recipe recipe;
    recipe.info.name = document.contains("name") ? text(document, "", "name") : file_;
    recipe.info.summary = "a user's recipe";
    recipe.info.backend = text(document, "", "backend");
    backend_ = &backend_named(known_, recipe.info.backend);
    recipe.info.settings = both(both(backend_->settings, backend_->file_settings), {when_indivisible_setting()});
    read_settings(document, recipe.info.settings);
    recipe.settings = SettingValues(recipe.info.settings, given_, fmt::format("recipe '{}'", file_));
    if (backend_->partitioner) recipe.partitioners.add(backend_->partitioner(recipe.settings));

    if (!document.contains("rules") || !document["rules"].is_array()) fail("rules", "must be a list of rules");
    std::vector<RecipeRule> rules;
    for (size_t i = 0; i < document["rules"].size(); ++i) rules.push_back(read_rule(document["rules"][i], fmt::format("rules[{}]", i)));
    if (std::ranges::any_of(rules, [](const RecipeRule& rule) { return rule.quantize.has_value(); }))
      recipe.steps.emplace_back(quantize_step(rules, when_indivisible_of(recipe.settings)));
    const bool quantizes = std::any_of(rules.begin(), rules.end(), [](const auto& rule) { return rule.config.has_value(); });
    recipe.info.needs_calibration = std::any_of(rules.begin(), rules.end(), [](const RecipeRule& rule) {
      return rule.config && rule.config->input_activation && !rule.config->input_activation->is_dynamic;
    });
    if (quantizes) {
      const Compat compat = compat_of(recipe.settings);
      recipe.steps.emplace_back(Pt2eStep{std::make_shared<RuleQuantizer>(*backend_, compat, std::move(rules)), compat});
    }
    return recipe;
  }

 private:
  [[noreturn]] void fail(const std::string& place, const std::string& cause) const {
    throw_bad_input(fmt::format("{}: {}: {} (see docs/recipes.md)", file_, place.empty() ? "top level" : place, cause));
  }

  void check_keys(const json& object, const std::string& place, const std::vector<std::string_view>& allowed) const {
    if (!object.is_object()) fail(place, "must be an object");
    for (const auto& [key, value] : object.items())
      if (std::find(allowed.begin(), allowed.end(), key) == allowed.end())
        fail(place, fmt::format("unknown key '{}', expected one of {}", escaped(key), fmt::join(allowed, ", ")));
  }

  std::string text(const json& object, const std::string& place, const char* key) const {
    const std::string where = place.empty() ? key : place + "." + key;
    if (!object.contains(key)) fail(where, "is missing");
    if (!object[key].is_string()) fail(where, "must be a string");
    return object[key].get<std::string>();
  }

  // What the command line says goes before what the file says.
  void read_settings(const json& document, const std::vector<Setting>& known) {
    if (!document.contains("settings")) return;
    std::vector<std::string_view> names;
    for (const Setting& setting : known) names.push_back(setting.name);
    check_keys(document["settings"], "settings", names);
    for (const auto& [key, value] : document["settings"].items()) given_.emplace(key, text(document["settings"], "settings", key.c_str()));
  }

  RecipeRule read_rule(const json& object, const std::string& place) const {
    check_keys(object, place, {"match", "config"});
    RecipeRule rule;
    if (object.contains("match")) {
      const json& match = object["match"];
      const std::string where = place + ".match";
      check_keys(match, where, {"module_name", "module_type", "op"});
      if (match.contains("module_name")) rule.match.module_glob = text(match, where, "module_name");
      if (match.contains("module_type")) rule.match.module_type = text(match, where, "module_type");
      if (match.contains("op")) rule.match.op = text(match, where, "op");
    }
    if (!object.contains("config")) fail(place + ".config", "is missing; give a configuration, or null to stay in float");
    if (object["config"].contains("quantize_")) rule.quantize = read_quantize_config(object["config"], place + ".config");
    else if (!object["config"].is_null()) rule.config = read_config(object["config"], place + ".config");
    return rule;
  }

  // A configuration of `quantize_`, by the name of its class.
  QuantizeConfig read_quantize_config(const json& object, const std::string& place) const {
    const std::string config_class = text(object, place, "quantize_");
    const std::vector<Setting> known = recipes::quantize_config_settings(config_class);
    if (known.empty()) fail(place + ".quantize_", fmt::format("must be \"{}\"", fmt::join(recipes::quantize_config_classes(), "\" or \"")));
    const bool has_blocks = known.front().name == "dtype";
    std::vector<std::string_view> names = {"quantize_"};
    for (const Setting& setting : known) names.push_back(setting.name);
    if (has_blocks) names.emplace_back("block_size");
    check_keys(object, place, names);
    RecipeSettings given;
    for (const Setting& setting : known)
      if (object.contains(setting.name)) given[setting.name] = config_value(object[setting.name], setting, place + "." + setting.name);
    std::vector<int64_t> block_size;
    if (has_blocks) {
      const auto is_integer = [](const json& item) { return item.is_number_integer(); };
      if (!object.contains("dtype")) fail(place + ".dtype", "is missing");
      if (!object.contains("block_size") || !object["block_size"].is_array() || !std::ranges::all_of(object["block_size"], is_integer))
        fail(place + ".block_size", "must be a list of rows and columns, -1 for all: [16, -1]");
      block_size = object["block_size"].get<std::vector<int64_t>>();
    }
    QuantizeConfig config = recipes::quantize_config(config_class, SettingValues(known, given, place), std::move(block_size));
    try {
      quantize_api::check(config);
    } catch (const Error& error) { fail(place, error.what()); }
    return config;
  }

  static QuantizeStep quantize_step(const std::vector<RecipeRule>& rules, WhenIndivisible when_indivisible) {
    QuantizeStep step{.rules = {}, .when_indivisible = when_indivisible};
    for (const RecipeRule& rule : rules)
      step.rules.push_back({rule.quantize ? recipes::layer_filter(rule.match)
                                          : [match = rule.match](const QuantizableLayer& layer) { return match.matches(*layer.node); },
                            rule.quantize, rule.quantize ? to_string(rule.match) : ""});
    return step;
  }

  QuantizationConfig read_config(const json& object, const std::string& place) const {
    if (!backend_->config) fail(place, fmt::format("backend '{}' has no quantizer; give null", backend_->name));
    std::vector<std::string_view> names;
    RecipeSettings given;
    for (const Setting& setting : backend_->config_settings) {
      names.push_back(setting.name);
      if (const auto of_file = given_.find(setting.name); of_file != given_.end()) given.insert(*of_file);
    }
    check_keys(object, place, names);
    for (const Setting& setting : backend_->config_settings)
      if (object.contains(setting.name)) given[setting.name] = config_value(object[setting.name], setting, place + "." + setting.name);
    try {
      return backend_->config(SettingValues(backend_->config_settings, given, place));
    } catch (const Error& error) { throw error.with_context(fmt::format("{}: {}", file_, place)); }
  }

  // The value as text, of the type that the setting has.
  std::string config_value(const json& value, const Setting& setting, const std::string& place) const {
    switch (setting.type) {
      case Setting::Type::boolean:
        if (!value.is_boolean()) fail(place, "must be true or false");
        return value.dump();
      case Setting::Type::integer:
        if (!value.is_number_integer() || value.get<int64_t>() < setting.smallest || value.get<int64_t>() > setting.largest)
          fail(place, fmt::format("must be an integer from {} to {}", setting.smallest, setting.largest));
        return value.dump();
      case Setting::Type::word: break;
    }
    if (!value.is_string()) fail(place, "must be a string");
    const std::string word = value.get<std::string>();
    if (!setting.words.empty() && std::find(setting.words.begin(), setting.words.end(), word) == setting.words.end())
      fail(place, fmt::format("must be \"{}\"", fmt::join(setting.words, "\" or \"")));
    return word;
  }

  std::string file_;
  RecipeSettings given_;
  std::span<const Backend> known_;
  const Backend* backend_ = nullptr;
};

// nlohmann keeps the last of equal keys; a recipe that says a thing twice is refused.
json parse_unique(std::string_view text, const std::string& file) {
  std::vector<std::vector<std::string>> keys;
  const json::parser_callback_t watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > 16) throw_bad_input(file + ": is nested too deeply for a recipe");
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key) {
      const std::string key = parsed.get<std::string>();
      if (std::find(keys.back().begin(), keys.back().end(), key) != keys.back().end())
        throw_bad_input(fmt::format("{}: the key '{}' is given twice", file, escaped(key)));
      keys.back().push_back(key);
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception& error) { throw_bad_input(fmt::format("{}: is not JSON: {}", file, escaped(error.what()))); }
}

}  // namespace

// A recipe's setting stands for its backend's of that name, with another default.
std::vector<Setting> both(std::vector<Setting> settings, const std::vector<Setting>& more) {
  for (const Setting& setting : more) {
    const auto same = std::ranges::find(settings, setting.name, &Setting::name);
    if (same == settings.end()) settings.push_back(setting);
    else *same = setting;
  }
  return settings;
}

Recipe parse_recipe(std::string_view text, const std::string& name, const RecipeSettings& settings, std::span<const Backend> known) {
  constexpr size_t limit = 1 << 20;
  if (text.size() > limit) throw_bad_input(name + ": is too large for a recipe (1 MiB)");
  return RecipeReader(name, settings, known).read(parse_unique(text, name));
}

Recipe load_recipe_file(const std::filesystem::path& path, const RecipeSettings& settings, std::span<const Backend> known) {
  const auto file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  return parse_recipe(text, escaped(path.string()), settings, known);
}

}  // namespace intaglio::recipes
