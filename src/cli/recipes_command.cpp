#include <fmt/format.h>
#include <intaglio/recipes.h>

#include "cli/cli.h"
#include "cli/output.h"

namespace intaglio::cli {
namespace {

void print_recipes(const CommonOptions& common) {
  if (common.json) {
    Json result = document("intaglio.recipes/1");
    result["recipes"] = Json::array();
    for (const RecipeInfo& info : list_recipes()) {
      Json settings = Json::array();
      for (const Setting& setting : info.settings)
        settings.push_back({{"name", setting.name}, {"default", setting.default_value}, {"help", setting.help}});
      result["recipes"].push_back({{"name", info.name},
                                   {"backend", info.backend},
                                   {"summary", info.summary},
                                   {"needs_calibration", info.needs_calibration},
                                   {"settings", settings}});
    }
    return print(result);
  }
  std::vector<std::vector<std::string>> rows;
  for (const RecipeInfo& info : list_recipes()) {
    rows.push_back({info.name, info.summary + (info.needs_calibration ? " (needs --calibrate)" : "")});
    for (const Setting& setting : info.settings)
      rows.push_back({fmt::format("    --set {}={}", setting.name, setting.default_value), setting.help});
  }
  say("{}\nA recipe of your own is a JSON file (docs/recipes.md): --recipe mine.json\n", table(rows));
}

}  // namespace

void add_recipes(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("recipes", "list every recipe with its settings");
  command->callback([&common] { print_recipes(common); });
}

}  // namespace intaglio::cli
