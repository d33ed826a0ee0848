// The documents of `inspect`.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include <intaglio/program.h>
#include <intaglio/recipes.h>

#include "cli/output.h"
#include "report/explanation.h"

namespace intaglio::cli {

// Against which backend, and which recipe, a `.pt2` is explained.
struct ExplainOptions {
  std::string backend;      // "" takes the recipe's, else the first there is
  std::string recipe;       // "": what the program itself says
  RecipeSettings settings;  // of the recipe or, without one, of the backend
  int threads = 0;
};

Json pt2_document(const std::string& path, const ExportedProgram& program, const ExplainOptions& options);
Json pte_document(const std::string& path, std::span<const std::byte> bytes);

// {since, since_from_file, needs, needs_from_file, text}
Json runtime_json(const RuntimeNeeds& needs);
// {op, layer, source, rule, work, unit, share}
Json op_json(const report::ExplainedOp& op);

}  // namespace intaglio::cli
