// The flow that `build` and `quantize` share: load, prepare, calibrate, convert; and what `build` and `lower` share: lower and save.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/check.h>
#include <intaglio/recipes.h>

#include "cli/cli.h"
#include "cli/clock.h"
#include "cli/output.h"
#include "report/html_page.h"

namespace intaglio::cli {

struct FlowArguments {
  std::string model;    // of `build`: all of them
  std::string weights;  // a file or folder, in place of the program's own
  std::string out;
  std::string recipe;
  std::vector<std::string> settings;  // key=value
  std::string calibrate;
  std::string preprocess;
  std::string plan;
  std::string save_plan;
  std::string report_file;
  bool strict = false;
  std::string representation = "qdq";
  std::optional<double> max_loss;
  std::string labels, evaluate, tokens, text, tokenizer;  // of --max-loss
  int64_t window = 0;
};
void add_flow_options(CLI::App& command, FlowArguments& arguments);  // all but the model

// What `build` and `lower` do once the program is as it is to be lowered.
struct SaveArguments {
  std::string dump;
  bool no_check = false;
  std::string emit;  // the format of folders beside the file
  std::chrono::milliseconds timeout{60'000};
  std::string llm;                     // the folder of a language model
  std::vector<std::string> constants;  // NAME=VALUE
  uint64_t float_bytes = 0;            // of the file that was quantized; 0: nothing was
  report::Page* page = nullptr;        // is told of the lowered program and of its memory
};
void add_save_options(CLI::App& command, SaveArguments& arguments);

struct SavedFile {
  uint64_t bytes = 0;
  Json methods;    // `methods` of the JSON documents: what the lowered program consists of
  Json agreement;  // and `agreement`
  std::string agreement_text;
  Json runtime;  // and `runtime`
  std::string runtime_text;
};
using Methods = std::vector<std::pair<std::string, ExportedProgram>>;

// The program, with these weights unless `weights` is "".
ExportedProgram load_program(const std::string& model, const std::string& weights);
void add_weights_option(CLI::App& command, std::string& weights);
// Programs by their methods: "A.pt2" is 'forward', "prefill=A.pt2" is 'prefill'. Usage error for a name that is given twice.
Methods load_methods(const std::vector<std::string>& models, const std::string& weights);

// The methods of --llm and --method-constant. The text runner's rules are about inputs, outputs and caches, which no recipe changes:
// called before the work.
std::vector<ConstantMethod> constant_methods(const Methods& methods, const SaveArguments& arguments);

// lower_and_save with these arguments; warnings are added to `warnings`. `describe` puts into words what is printed once the file
// is in its place.
void save(Methods methods, const PartitionerList& partitioners, const std::string& out, const SaveArguments& arguments, SaveOptions options,
          std::vector<Warning>& warnings, StepClock& clock, const std::function<std::string(const SavedFile&)>& describe,
          const CommonOptions& common);

// Of `--set key=value`; usage error for anything else, and for a key given twice.
RecipeSettings parse_settings(const std::vector<std::string>& pairs);

struct Flow {
  Recipe recipe;
  std::vector<Warning> warnings;
  size_t calibration_samples = 0, quantized_tensors = 0;
  std::vector<Tensor> first_sample;
  std::vector<std::string> notes;
  // Of a flow that is reported: the program as it was, and what was observed and decided.
  std::optional<ExportedProgram> floats;
  Plan plan;
  std::optional<ExportedProgram> qdq;  // what a reference representation was made of
};
SampleSource calibration_samples(const FlowArguments& arguments, const ExportedProgram& program);

// The recipe. A static one without data or plan is a usage error.
Flow begin_flow(const FlowArguments& arguments);
// What the recipe makes of the program. Where there are several, `method` stands before its notes.
ExportedProgram run_flow(Flow& flow, ExportedProgram program, const std::string& method, const FlowArguments& arguments,
                         const CommonOptions& common, StepClock& clock);

// "22 tensors quantized by NAME from 5 samples"; where the ranges come from depends on the recipe and on --plan. Then what the
// steps say of themselves, a line each.
std::string quantization_text(const FlowArguments& arguments, const Flow& flow);

// What the documents of `build` and `quantize` have in common.
Json flow_json(const char* schema, const FlowArguments& arguments, const Flow& flow, uint64_t bytes, const StepClock& clock);

// The hand-over that `lower` and `build` write in place of a `.pte` where the ending of `path` is that of the one backend. Usage error for
// any other ending.
const HandOver* hand_over_of(const std::string& path, const std::vector<std::string>& backends, const char* command);
// Usage error when the ending of `path` is not `.extension`.
void require_extension(const std::string& path, const char* extension, const char* what);
// Warnings for stderr, those that say the same in one line; none where --json collects them all or --quiet silences them.
std::string warnings_text(const std::vector<Warning>& warnings, const CommonOptions& common);
Json warnings_json(const std::vector<Warning>& warnings);

}  // namespace intaglio::cli
