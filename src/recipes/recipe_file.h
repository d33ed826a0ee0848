// Recipe files: JSON, documented by docs/recipe.schema.json.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include <intaglio/recipes.h>

namespace intaglio::recipes {

// Bad-input error naming the file and the place (`rules[2].match`) on anything the schema does not allow.
Recipe load_recipe_file(const std::filesystem::path& path, const RecipeSettings& settings, std::span<const Backend> known = backends());
// The file's text; `name` is used in messages.
Recipe parse_recipe(std::string_view text, const std::string& name, const RecipeSettings& settings,
                    std::span<const Backend> known = backends());

// Usage error for a name that no row has.
const Backend& backend_named(std::span<const Backend> known, const std::string& name);
std::vector<Setting> both(std::vector<Setting> settings, const std::vector<Setting>& more);

}  // namespace intaglio::recipes
