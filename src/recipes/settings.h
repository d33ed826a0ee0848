// Settings of recipes: taken one by one, and none may be left over.
#pragma once

#include <string>

#include <intaglio/recipes.h>

namespace intaglio {

// Reads `compat` (`intaglio` or `torchao`); any other setting is a usage error that names `recipe`.
Compat take_compat(const RecipeSettings& settings, const std::string& recipe);

}  // namespace intaglio
