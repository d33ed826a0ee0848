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

struct FlowArguments {
  std::string model;
  std::string out;
  std::string recipe;
  std::vector<std::string> settings;  // key=value
  std::string calibrate;
  std::string preprocess;
  std::string plan;
  std::string save_plan;
};
void add_flow_options(CLI::App& command, FlowArguments& arguments);

// Of `--set key=value`; usage error for anything else, and for a key given twice.
RecipeSettings parse_settings(const std::vector<std::string>& pairs);

struct Flow {
  Recipe recipe;
  FlowResult result;
  std::vector<std::string> warnings;
};

// Loads the program and runs the recipe. A static recipe without data or plan is a usage error.
Flow run_flow(const FlowArguments& arguments, const CommonOptions& common, StepClock& clock);

// "22 tensors quantized by NAME from 5 samples"; where the ranges come from depends on the recipe and on --plan.
std::string quantization_text(const FlowArguments& arguments, const Flow& flow);

// What the documents of `build` and `quantize` have in common.
Json flow_json(const char* schema, const FlowArguments& arguments, const Flow& flow, uint64_t bytes, const StepClock& clock);

// Usage error when the ending of `path` is not `.extension`.
void require_extension(const std::string& path, const char* extension, const char* what);
// Warnings go to stderr as they are, unless --json collects them or --quiet silences them.
void print_warnings(const std::vector<std::string>& warnings, const CommonOptions& common);

// A line of what a written file needs; "" when every runtime has it.
std::string runtime_text(const RuntimeNeeds& needs);

// What a lowered program consists of: `methods` of the JSON documents.
Json lowering_json(const EdgeProgram& edge);

}  // namespace intaglio::cli
