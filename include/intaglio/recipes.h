// Recipes: a name, or a user's file, to quantizer and partitioners.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/partitioner.h>
#include <intaglio/pt2e.h>
#include <intaglio/quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio {

// Settings as `--set key=value` gives them: text that is JSON or a bare word.
using RecipeSettings = std::map<std::string, std::string>;

struct RecipeSetting {
  std::string name;
  std::string default_value;
  std::string help;
};

struct RecipeInfo {
  std::string name;
  std::string summary;
  std::string backend;             // "xnnpack"
  bool needs_calibration = false;  // a static recipe: samples or a plan
  std::vector<RecipeSetting> settings;
};

// A recipe with its settings applied.
struct Recipe {
  RecipeInfo info;
  std::unique_ptr<Quantizer> quantizer;  // null: the program stays in float
  PrepareOptions prepare;
  PartitionerList partitioners;
};

const std::vector<RecipeInfo>& list_recipes();

// A name of the list, or the path of a recipe file (ends in `.json`). Usage errors: an unknown name (the nearest one is
// suggested), setting or value. Bad input: a damaged recipe file.
Recipe make_recipe(const std::string& name_or_path, const RecipeSettings& settings = {});

// Partitioners of `--backend`; `portable` is none. Usage error for an unknown one.
void add_backend(PartitionerList& partitioners, const std::string& backend, Compat compat);
std::vector<std::string> backend_names();

}  // namespace intaglio

#pragma GCC visibility pop
