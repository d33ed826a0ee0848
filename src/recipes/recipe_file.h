// Recipe files: JSON, documented by docs/recipe.schema.json.
#pragma once

#include <filesystem>

#include <intaglio/recipes.h>

namespace intaglio {

// Bad-input error naming the file and the place (`rules[2].match`) on anything the schema does not allow.
Recipe load_recipe_file(const std::filesystem::path& path, const RecipeSettings& settings);

}  // namespace intaglio
