#include <intaglio/recipes.h>

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/edit_distance.h"
#include "recipes/recipe_file.h"

namespace intaglio {

using namespace recipes;
namespace {

// The parts of a name between underscores.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    if (c == '_' || c == '-' || c == ' ') words.emplace_back();
    else words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return words;
}

// How much of what was asked for a name leaves out: words that it has not, or has only misspelt. A name that asks for int8 is
// nearer to an int8 recipe than to a float one that is as long.
size_t missing_meaning(const std::vector<std::string>& asked, std::string_view name) {
  const std::vector<std::string> words = words_of(name);
  size_t missing = 0;
  for (const std::string& word : asked) {
    size_t nearest = word.size();
    for (const std::string& other : words) nearest = std::min(nearest, edit_distance(word, other));
    missing += nearest;
  }
  return missing;
}

[[noreturn]] void unknown_recipe(const std::string& name, const std::vector<RecipeInfo>& known) {
  const std::vector<std::string> asked = words_of(name);
  size_t least = SIZE_MAX;
  for (const RecipeInfo& recipe : known) least = std::min(least, missing_meaning(asked, recipe.name));
  std::vector<std::pair<size_t, std::string>> nearest;
  for (const RecipeInfo& recipe : known)
    if (missing_meaning(asked, recipe.name) == least) nearest.emplace_back(edit_distance(name, recipe.name), recipe.name);
  std::ranges::stable_sort(nearest, {}, &std::pair<size_t, std::string>::first);
  constexpr size_t most = 4;
  std::vector<std::string> shown;
  for (const auto& [distance, recipe] : nearest)
    if (shown.size() < most) shown.push_back(fmt::format("'{}'", recipe));
  throw_usage(fmt::format("unknown recipe '{}'; did you mean {}? `intaglio recipes` lists them, and a recipe file ends in .json",
                          escaped(name), fmt::join(shown, " or ")));
}

RecipeInfo info_of(const Backend& backend, const BackendRecipe& row) {
  return {row.name, row.summary, backend.name, row.needs_calibration, both(backend.settings, row.settings)};
}

}  // namespace

std::vector<RecipeInfo> list_recipes(std::span<const Backend> known) {
  std::vector<RecipeInfo> list;
  for (const Backend& backend : known)
    for (const BackendRecipe& row : backend.recipes) list.push_back(info_of(backend, row));
  return list;
}

std::vector<std::string> backend_names(std::span<const Backend> known) {
  std::vector<std::string> names;
  for (const Backend& backend : known) names.push_back(backend.name);
  return names;
}

const Backend& recipes::backend_named(std::span<const Backend> known, const std::string& name) {
  const Backend* backend = find_backend(known, name);
  if (backend == nullptr) throw_usage(fmt::format("unknown backend '{}'; known: {}", escaped(name), fmt::join(backend_names(known), ", ")));
  return *backend;
}

RuntimeVersion add_backend(PartitionerList& partitioners, const std::string& name, const RecipeSettings& settings,
                           std::span<const Backend> known) {
  const Backend& backend = backend_named(known, name);
  const SettingValues values(backend.settings, settings, fmt::format("backend '{}'", name));
  if (backend.partitioner) partitioners.add(backend.partitioner(values));
  return runtime_of(values);
}

bool Recipe::quantizes() const {
  return std::ranges::any_of(steps, [](const RecipeStep& step) { return !std::holds_alternative<TransformStep>(step); });
}

Recipe make_recipe(const std::string& name_or_path, const RecipeSettings& settings, std::span<const Backend> known) {
  if (name_or_path.ends_with(".json")) return load_recipe_file(name_or_path, settings, known);
  for (const Backend& backend : known)
    for (const BackendRecipe& row : backend.recipes) {
      if (row.name != name_or_path && (row.alias.empty() || row.alias != name_or_path)) continue;
      Recipe recipe;
      recipe.info = info_of(backend, row);
      recipe.settings = SettingValues(recipe.info.settings, settings, fmt::format("recipe '{}'", row.name));
      if (row.steps) recipe.steps = row.steps(recipe.settings);
      if (backend.partitioner) recipe.partitioners.add(backend.partitioner(recipe.settings));
      return recipe;
    }
  unknown_recipe(name_or_path, list_recipes(known));
}

}  // namespace intaglio
