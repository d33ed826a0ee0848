#include "recipes/recipe_file.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/xnnpack.h>
#include <nlohmann/json.hpp>

#include "base/mapped_file.h"
#include "recipes/rules.h"
#include "recipes/settings.h"

namespace intaglio {
namespace {

using nlohmann::json;

constexpr std::string_view kSchema = "intaglio-recipe/1";

class RecipeReader {
 public:
  RecipeReader(std::string file, RecipeSettings settings) : file_(std::move(file)), settings_(std::move(settings)) {}

  Recipe read(const json& document) {
    check_keys(document, "", {"schema", "name", "backend", "settings", "rules"});
    if (text(document, "", "schema") != kSchema) fail("schema", fmt::format("must be \"{}\"", kSchema));
    Recipe recipe;
    recipe.info.name = document.contains("name") ? text(document, "", "name") : file_;
    recipe.info.summary = "a user's recipe";
    recipe.info.backend = text(document, "", "backend");
    const auto [compat, is_qat] = read_settings(document);
    is_qat_ = is_qat;
    recipe.prepare.compat = compat;
    add_backend(recipe.partitioners, recipe.info.backend, compat);

    if (!document.contains("rules") || !document["rules"].is_array()) fail("rules", "must be a list of rules");
    std::vector<RecipeRule> rules;
    for (size_t i = 0; i < document["rules"].size(); ++i) rules.push_back(read_rule(document["rules"][i], fmt::format("rules[{}]", i)));
    const bool quantizes = std::any_of(rules.begin(), rules.end(), [](const auto& rule) { return rule.config.has_value(); });
    recipe.info.needs_calibration = std::any_of(rules.begin(), rules.end(), [](const RecipeRule& rule) {
      return rule.config && rule.config->input_activation && !rule.config->input_activation->is_dynamic;
    });
    if (quantizes) recipe.quantizer = std::make_unique<RuleQuantizer>(xnnpack::XnnpackQuantizer(compat), std::move(rules));
    return recipe;
  }

 private:
  [[noreturn]] void fail(const std::string& place, const std::string& cause) const {
    throw_bad_input(fmt::format("{}: {}: {} (see docs/recipes.md)", file_, place.empty() ? "top level" : place, cause));
  }

  void check_keys(const json& object, const std::string& place, std::initializer_list<std::string_view> allowed) const {
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

  TakenSettings read_settings(const json& document) {
    RecipeSettings merged;
    if (document.contains("settings")) {
      check_keys(document["settings"], "settings", {"compat", "is_qat"});
      for (const auto& [key, value] : document["settings"].items()) merged[key] = text(document["settings"], "settings", key.c_str());
    }
    for (const auto& [key, value] : settings_) merged[key] = value;
    return take_settings(merged, file_, true);
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
    if (!object["config"].is_null()) rule.config = read_config(object["config"], place + ".config");
    return rule;
  }

  QuantizationConfig read_config(const json& object, const std::string& place) const {
    xnnpack::SymmetricQuantizationOptions options;
    options.is_qat = is_qat_;
    check_keys(object, place, {"scheme", "is_per_channel", "is_qat", "is_dynamic", "act_qmin", "act_qmax", "weight_qmin", "weight_qmax"});
    if (object.contains("scheme") && text(object, place, "scheme") != "symmetric_int8")
      fail(place + ".scheme", "must be \"symmetric_int8\"");
    read_flag(object, place, "is_per_channel", options.is_per_channel);
    read_flag(object, place, "is_qat", options.is_qat);
    read_flag(object, place, "is_dynamic", options.is_dynamic);
    read_bound(object, place, "act_qmin", options.act_qmin);
    read_bound(object, place, "act_qmax", options.act_qmax);
    read_bound(object, place, "weight_qmin", options.weight_qmin);
    read_bound(object, place, "weight_qmax", options.weight_qmax);
    if (options.act_qmin >= options.act_qmax || options.weight_qmin >= options.weight_qmax)
      fail(place, "a lower bound is not below its upper bound");
    try {
      return xnnpack::get_symmetric_quantization_config(options);
    } catch (const Error& error) { throw error.with_context(fmt::format("{}: {}", file_, place)); }
  }

  void read_flag(const json& object, const std::string& place, const char* key, bool& target) const {
    if (!object.contains(key)) return;
    if (!object[key].is_boolean()) fail(place + "." + key, "must be true or false");
    target = object[key].get<bool>();
  }

  void read_bound(const json& object, const std::string& place, const char* key, int64_t& target) const {
    if (!object.contains(key)) return;
    const bool in_range = object[key].is_number_integer() && object[key].get<int64_t>() >= -128 && object[key].get<int64_t>() <= 127;
    if (!in_range) fail(place + "." + key, "must be an integer from -128 to 127");
    target = object[key].get<int64_t>();
  }

  std::string file_;
  RecipeSettings settings_;
  bool is_qat_ = false;
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

Recipe parse_recipe(std::string_view text, const std::string& name, const RecipeSettings& settings) {
  constexpr size_t kLimit = 1 << 20;
  if (text.size() > kLimit) throw_bad_input(name + ": is too large for a recipe (1 MiB)");
  return RecipeReader(name, settings).read(parse_unique(text, name));
}

Recipe load_recipe_file(const std::filesystem::path& path, const RecipeSettings& settings) {
  const auto file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  return parse_recipe(text, escaped(path.string()), settings);
}

}  // namespace intaglio
