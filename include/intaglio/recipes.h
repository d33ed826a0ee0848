// Recipes: a name, or a user's file, to a list of steps; and the flow that runs them.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/backend.h>
#include <intaglio/data.h>
#include <intaglio/partitioner.h>
#include <intaglio/pt2e.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct RecipeInfo {
  std::string name;
  std::string summary;
  std::string backend;
  bool needs_calibration = false;  // a static recipe: samples or a plan
  std::vector<Setting> settings;
};

// A recipe with its settings applied.
struct Recipe {
  RecipeInfo info;
  SettingValues settings;
  std::vector<RecipeStep> steps;
  PartitionerList partitioners;  // for what the steps leave

  bool quantizes() const;
};

// Recipes of all backends, in their order.
std::vector<RecipeInfo> list_recipes(std::span<const Backend> known = backends());

// A name of the list, or the path of a recipe file (ends in `.json`). Usage errors: an unknown name (the nearest one is
// suggested), setting or value. Bad input: a damaged recipe file.
Recipe make_recipe(const std::string& name_or_path, const RecipeSettings& settings = {}, std::span<const Backend> known = backends());

// The partitioner of `--backend`, if it has one; returns the runtime that the settings ask for. Usage error for an unknown
// backend or setting.
RuntimeVersion add_backend(PartitionerList& partitioners, const std::string& backend, const RecipeSettings& settings = {},
                           std::span<const Backend> known = backends());
std::vector<std::string> backend_names(std::span<const Backend> known = backends());

// ---- the flow

// What samples of a program have to look like.
std::vector<InputSlot> input_slots(const ExportedProgram& program);
// Runs every sample through the program; `advance` is called after each. Errors name the sample's file.
void calibrate(PreparedProgram& prepared, const SampleSource& samples, const std::function<void()>& advance = {});

struct FlowOptions {
  int threads = 0;
  // Called with each prepared program before it is converted: runs samples (`calibrate`) or applies a plan.
  std::function<void(PreparedProgram&)> calibrate;
  // For explanations: what nothing was observed for gets a scale of 1, and the numbers mean nothing.
  bool allow_uncalibrated = false;
  bool use_reference_representation = false;  // of what PT2E converts
  std::vector<std::string> in_float;          // nodes to leave alone (Plan::in_float)
  std::vector<std::string> per_channel;       // of PT2E (Plan::per_channel)
  std::vector<PlanLayer> layers;              // of `quantize_`: before what the recipe says of them (Plan::layers)
  bool strict = false;                        // a warning that is a breach becomes an error, told when all steps have run
  WarningSink warn;
  std::function<void(std::string_view step)> observe;  // after each step: "prepare", "calibrate", "convert", a transform's name
};

struct FlowResult {
  ExportedProgram program;
  size_t calibration_samples = 0;
  size_t quantized_tensors = 0;      // observed ones, weights included
  std::vector<Tensor> first_sample;  // inputs that `calibrate` ran first; empty without samples
  std::vector<PlanLayer> layers;     // that `quantize_` took
  std::vector<std::string> notes;    // of transforms; of each `quantize_`: which layers it took, and why not the others
};

// Runs the steps of a recipe. A recipe that quantized nothing is a warning.
FlowResult run_recipe(ExportedProgram program, const Recipe& recipe, const FlowOptions& options = {});

}  // namespace intaglio

#pragma GCC visibility pop
