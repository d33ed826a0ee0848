// Settings of recipes: taken one by one, and none may be left over.
#pragma once

#include <string>

#include <intaglio/recipes.h>

namespace intaglio {

struct TakenSettings {
  Compat compat = Compat::intaglio;
  bool is_qat = false;
};
// Reads `compat` (`intaglio` or `torchao`) and, where something is quantized, `is_qat`; any other setting is a usage error
// that names `recipe`.
TakenSettings take_settings(const RecipeSettings& settings, const std::string& recipe, bool quantizes);

}  // namespace intaglio
