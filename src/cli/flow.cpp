#include "cli/flow.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/data.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "base/progress.h"
#include "cli/inspect_json.h"

namespace intaglio::cli {
namespace {

void calibrate(PreparedProgram& prepared, const FlowArguments& arguments, const CommonOptions& common) {
  std::optional<Preprocess> preprocess;
  if (!arguments.preprocess.empty()) preprocess = parse_preprocess(arguments.preprocess);
  const SampleSource samples(arguments.calibrate, input_slots(prepared.program()), preprocess);
  Progress progress("calibrating", samples.size(), !common.quiet);
  intaglio::calibrate(prepared, samples, [&] { progress.advance(); });
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

void add_flow_options(CLI::App& command, FlowArguments& arguments) {
  command.add_option("MODEL", arguments.model, "the program, a .pt2")->required();
  command.add_option("-o,--output", arguments.out, "where to write")->required();
  command.add_option("--recipe", arguments.recipe, "a name (`intaglio recipes`) or a recipe file (.json)")->required();
  command.add_option("--set", arguments.settings, "a recipe's setting, key=value")->allow_extra_args(false);
  command.add_option("--calibrate", arguments.calibrate, "a sample (.npy, .npz, image) or a folder of them");
  command.add_option("--preprocess", arguments.preprocess, "how images become tensors: resize=256,crop=224,mean=..,std=..");
  command.add_option("--plan", arguments.plan, "use the decisions of this plan instead of calibrating");
  command.add_option("--save-plan", arguments.save_plan, "write what was observed and decided");
}

void require_extension(const std::string& path, const char* extension, const char* what) {
  if (!path.ends_with(extension)) throw_usage(fmt::format("{}: {} ends in {}", escaped(path), what, extension));
}

void print_warnings(const std::vector<std::string>& warnings, const CommonOptions& common) {
  if (common.json || common.quiet) return;
  for (const std::string& warning : warnings) fmt::print(stderr, "intaglio: warning: {}\n", warning);
}

Flow run_flow(const FlowArguments& arguments, const CommonOptions& common, StepClock& clock) {
  Flow flow;
  flow.recipe = make_recipe(arguments.recipe, parse_settings(arguments.settings));
  const bool needs_calibration = flow.recipe.info.needs_calibration;
  if (needs_calibration && arguments.calibrate.empty() && arguments.plan.empty())
    throw_usage(fmt::format("recipe '{}' is static: give samples with --calibrate, or decisions with --plan", flow.recipe.info.name));
  ExportedProgram program = load_exported_program(arguments.model);
  clock.step("load");
  FlowOptions options = {.threads = common.threads};
  options.calibrate = [&](PreparedProgram& prepared) {
    if (!arguments.plan.empty()) prepared.apply_plan(load_plan(arguments.plan));
    else if (needs_calibration) calibrate(prepared, arguments, common);
    if (!arguments.save_plan.empty()) save_plan(prepared.plan(), arguments.save_plan);
  };
  options.warn = [&](const std::string& warning) { flow.warnings.push_back(warning); };
  options.observe = [&](std::string_view step) { clock.step(std::string(step)); };
  flow.result = run_recipe(std::move(program), flow.recipe, options);
  return flow;
}

std::string quantization_text(const FlowArguments& arguments, const Flow& flow) {
  std::string text = fmt::format("{} tensors quantized by {}", flow.result.quantized_tensors, flow.recipe.info.name);
  if (!arguments.plan.empty()) return text + fmt::format(" as {} says", escaped(arguments.plan));
  if (!flow.recipe.info.needs_calibration) return text + ", without calibration";
  return text + fmt::format(" from {} sample{}", flow.result.calibration_samples, flow.result.calibration_samples == 1 ? "" : "s");
}

Json flow_json(const char* schema, const FlowArguments& arguments, const Flow& flow, uint64_t bytes, const StepClock& clock) {
  Json result = document(schema);
  result["model"] = arguments.model;
  result["output"] = arguments.out;
  result["bytes"] = bytes;
  result["recipe"] = flow.recipe.info.name;
  result["calibration_samples"] = flow.result.calibration_samples;
  result["quantized_tensors"] = flow.result.quantized_tensors;
  result["steps"] = clock.to_json();
  result["warnings"] = flow.warnings;
  return result;
}

std::string runtime_text(const RuntimeNeeds& needs) { return needs.since_from_file() == oldest_runtime ? "" : to_string(needs) + "\n"; }

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
