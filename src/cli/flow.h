// The flow that `build` and `quantize` share: load, prepare, calibrate, convert.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/edge.h>
#include <intaglio/recipes.h>

#include "cli/cli.h"
#include "cli/clock.h"
#include "cli/output.h"

namespace intaglio::cli {

struct FlowOptions {
  std::string model;
  std::string out;
  std::string recipe;
  std::vector<std::string> settings;  // key=value
  std::string calibrate;
  std::string preprocess;
  std::string plan;
  std::string save_plan;
};
void add_flow_options(CLI::App& command, FlowOptions& options);

// Of `--set key=value`; usage error for anything else, and for a key given twice.
RecipeSettings parse_settings(const std::vector<std::string>& pairs);

struct FlowResult {
  ExportedProgram program;
  Recipe recipe;
  size_t calibration_samples = 0;
  size_t quantized_tensors = 0;  // observed ones, weights included
  std::vector<std::string> warnings;
};

// Runs the recipe on the program up to the converted program. Guard rails: a static recipe without data or plan is a
// usage error; a recipe that quantized nothing is a warning.
FlowResult run_flow(const FlowOptions& options, const CommonOptions& common, StepClock& clock);

// "22 tensors quantized by NAME from 5 samples"; where the ranges come from depends on the recipe and on --plan.
std::string quantization_text(const FlowOptions& options, const FlowResult& flow);

// What the documents of `build` and `quantize` have in common.
Json flow_json(const char* schema, const FlowOptions& options, const FlowResult& flow, uint64_t bytes, const StepClock& clock);

// Usage error when the ending of `path` is not `.extension`.
void require_extension(const std::string& path, const char* extension, const char* what);
// Warnings go to stderr as they are, unless --json collects them or --quiet silences them.
void print_warnings(const std::vector<std::string>& warnings, const CommonOptions& common);

// What a lowered program consists of: `methods` of the JSON documents.
Json lowering_json(const EdgeProgram& edge);

}  // namespace intaglio::cli
