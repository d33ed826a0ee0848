#include <intaglio/recipes.h>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "recipes/recipe_file.h"

namespace intaglio {
namespace {

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t substituted = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({substituted, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

[[noreturn]] void unknown_recipe(const std::string& name, const std::vector<RecipeInfo>& known) {
  const auto nearest = std::min_element(known.begin(), known.end(), [&](const RecipeInfo& a, const RecipeInfo& b) {
    return edit_distance(name, a.name) < edit_distance(name, b.name);
  });
  throw_usage(fmt::format("unknown recipe '{}'; did you mean '{}'? `intaglio recipes` lists them, and a recipe file ends in .json",
                          escaped(name), nearest->name));
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

const Backend& backend_named(std::span<const Backend> known, const std::string& name) {
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

Recipe make_recipe(const std::string& name_or_path, const RecipeSettings& settings, std::span<const Backend> known) {
  if (name_or_path.ends_with(".json")) return load_recipe_file(name_or_path, settings, known);
  for (const Backend& backend : known)
    for (const BackendRecipe& row : backend.recipes) {
      if (row.name != name_or_path) continue;
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
