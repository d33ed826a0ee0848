#include "cli/flow.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/data.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "base/progress.h"
#include "cli/inspect_json.h"
#include "qdq/op_table.h"
#include "report/slots.h"

namespace intaglio::cli {
namespace {

void calibrate(PreparedProgram& prepared, const FlowOptions& options, const CommonOptions& common) {
  std::optional<Preprocess> preprocess;
  if (!options.preprocess.empty()) preprocess = parse_preprocess(options.preprocess);
  const SampleSource samples(options.calibrate, input_slots(prepared.program()), preprocess);
  Progress progress("calibrating", samples.size(), !common.quiet);
  for (size_t i = 0; i < samples.size(); ++i) {
    const Sample sample = samples.load(i);
    try {
      prepared(sample.inputs);
    } catch (const Error& error) { throw error.with_context(escaped(sample.file.string())); }
    progress.advance();
  }
}

}  // namespace

RecipeSettings parse_settings(const std::vector<std::string>& pairs) {
  RecipeSettings settings;
  for (const std::string& pair : pairs) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) throw_usage(fmt::format("--set {}: give key=value", escaped(pair)));
    std::string value = pair.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (!settings.emplace(pair.substr(0, equals), value).second)
      throw_usage(fmt::format("--set {}: the setting is given twice", escaped(pair)));
  }
  return settings;
}

void add_flow_options(CLI::App& command, FlowOptions& options) {
  command.add_option("MODEL", options.model, "the program, a .pt2")->required();
  command.add_option("-o,--output", options.out, "where to write")->required();
  command.add_option("--recipe", options.recipe, "a name (`intaglio recipes`) or a recipe file (.json)")->required();
  command.add_option("--set", options.settings, "a recipe's setting, key=value")->allow_extra_args(false);
  command.add_option("--calibrate", options.calibrate, "a sample (.npy, .npz, image) or a folder of them");
  command.add_option("--preprocess", options.preprocess, "how images become tensors: resize=256,crop=224,mean=..,std=..");
  command.add_option("--plan", options.plan, "use the decisions of this plan instead of calibrating");
  command.add_option("--save-plan", options.save_plan, "write what was observed and decided");
}

void require_extension(const std::string& path, const char* extension, const char* what) {
  if (!path.ends_with(extension)) throw_usage(fmt::format("{}: {} ends in {}", escaped(path), what, extension));
}

void print_warnings(const std::vector<std::string>& warnings, const CommonOptions& common) {
  if (common.json || common.quiet) return;
  for (const std::string& warning : warnings) fmt::print(stderr, "intaglio: warning: {}\n", warning);
}

FlowResult run_flow(const FlowOptions& options, const CommonOptions& common, StepClock& clock) {
  FlowResult result;
  result.recipe = make_recipe(options.recipe, parse_settings(options.settings));
  if (result.recipe.info.needs_calibration && options.calibrate.empty() && options.plan.empty())
    throw_usage(fmt::format("recipe '{}' is static: give samples with --calibrate, or decisions with --plan", result.recipe.info.name));
  result.program = load_exported_program(options.model);
  clock.step("load");
  if (!result.recipe.quantizer) return result;

  PrepareOptions prepare = result.recipe.prepare;
  prepare.threads = common.threads;
  prepare.warn = [&](const std::string& warning) { result.warnings.push_back(warning); };
  PreparedProgram prepared = prepare_pt2e(std::move(result.program), *result.recipe.quantizer, prepare);
  clock.step("prepare");
  if (!options.plan.empty()) {
    prepared.apply_plan(load_plan(options.plan));
  } else if (result.recipe.info.needs_calibration) {
    calibrate(prepared, options, common);
  }
  result.calibration_samples = prepared.calibrated_samples();
  clock.step("calibrate");
  if (!options.save_plan.empty()) save_plan(prepared.plan(), options.save_plan);
  result.program = convert_pt2e(std::move(prepared));
  clock.step("convert");

  for (const Node* node : result.program.graph().node_list()) result.quantized_tensors += qdq::is_dequantize(*node);
  if (result.quantized_tensors == 0)
    result.warnings.push_back(
        fmt::format("recipe '{}' quantized nothing in {}: no operator matched its rules", result.recipe.info.name, escaped(options.model)));
  return result;
}

std::string quantization_text(const FlowOptions& options, const FlowResult& flow) {
  std::string text = fmt::format("{} tensors quantized by {}", flow.quantized_tensors, flow.recipe.info.name);
  if (!options.plan.empty()) return text + fmt::format(" as {} says", escaped(options.plan));
  if (!flow.recipe.info.needs_calibration) return text + ", without calibration";
  return text + fmt::format(" from {} sample{}", flow.calibration_samples, flow.calibration_samples == 1 ? "" : "s");
}

Json flow_json(const char* schema, const FlowOptions& options, const FlowResult& flow, uint64_t bytes, const StepClock& clock) {
  Json result = document(schema);
  result["model"] = options.model;
  result["output"] = options.out;
  result["bytes"] = bytes;
  result["recipe"] = flow.recipe.info.name;
  result["calibration_samples"] = flow.calibration_samples;
  result["quantized_tensors"] = flow.quantized_tensors;
  result["steps"] = clock.to_json();
  result["warnings"] = flow.warnings;
  return result;
}

Json lowering_json(const EdgeProgram& edge) {
  Json methods = Json::array();
  for (const EdgeMethod& method : edge.methods) {
    const DelegationExplanation explained = explain_delegation(method);
    Json delegates = Json::array(), leftovers = Json::array();
    for (size_t i = 0; i < method.delegates.size(); ++i) {
      const Delegate& delegate = method.delegates[i];
      size_t named_bytes = 0;
      for (const NamedData& named : delegate.named_data) named_bytes += named.data.size();
      delegates.push_back({{"backend", delegate.backend_id},
                           {"nodes", explained.delegates[i].nodes},
                           {"payload_bytes", delegate.payload.size()},
                           {"weight_bytes", named_bytes},
                           {"share", explained.delegates[i].share}});
    }
    for (const ExplainedOp& op : explained.outside) leftovers.push_back(op_json(op));
    methods.push_back({{"name", method.name}, {"delegates", delegates}, {"leftover_ops", leftovers}, {"work", explained.work}});
  }
  return methods;
}

}  // namespace intaglio::cli
