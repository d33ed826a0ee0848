#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/backend.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "cli/explanation_text.h"
#include "cli/files.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"

namespace intaglio::cli {
namespace {

struct LowerArguments {
  std::vector<std::string> models;  // A.pt2, or name=A.pt2 for several methods
  std::string out;
  std::vector<std::string> backends;
  std::string compat;
  std::vector<std::string> settings;  // key=value
  std::string weights;
  bool strict = false;
  SaveArguments save;
};

bool has_setting(const std::string& backend, const std::string& setting) {
  const Backend* row = find_backend(backends(), backend);
  return row == nullptr || std::ranges::find(row->settings, setting, &Setting::name) != row->settings.end();
}

// Each backend is given those that it has; what none has is left to the first one to refuse. --compat is the short form of one of them.
RecipeSettings settings_of(const LowerArguments& arguments, const std::string& backend) {
  RecipeSettings settings = parse_settings(arguments.settings);
  if (!arguments.compat.empty() && !settings.emplace("compat", arguments.compat).second)
    throw_usage("--compat and --set compat=... are one setting: give one of them");
  const auto is_of_another = [&](const std::string& setting) {
    const bool is_known = std::ranges::any_of(arguments.backends, [&](const std::string& other) { return has_setting(other, setting); });
    return !has_setting(backend, setting) && (is_known || backend != arguments.backends.front());
  };
  std::erase_if(settings, [&](const auto& given) { return is_of_another(given.first); });
  return settings;
}

std::string description(const LowerArguments& arguments, const CommonOptions& common, const SavedFile& saved,
                        const std::vector<Warning>& warnings, const std::string& first_model, const StepClock& clock) {
  if (common.json) {
    Json result = document("intaglio.lower/1");
    result["models"] = arguments.models;
    result["output"] = arguments.out;
    result["bytes"] = saved.bytes;
    result["agreement"] = saved.agreement;
    result["methods"] = saved.methods;
    result["runtime"] = saved.runtime;
    result["steps"] = clock.to_json();
    result["warnings"] = warnings_json(warnings);
    return to_text(result);
  }
  if (common.quiet) return "";
  const std::string hint = fmt::format("intaglio inspect {} --backend {} --verbose", first_model, arguments.backends.front());
  return printable(fmt::format("{}: {} in {:.2f} s\n{}{}{}steps: {}\n", arguments.out, bytes_text(saved.bytes), clock.total_seconds(),
                               lowering_text(saved.methods, hint), saved.agreement_text, saved.runtime_text, clock.to_text()));
}

void lower(const LowerArguments& arguments, const CommonOptions& common) {
  const HandOver* hand_over = hand_over_of(arguments.out, arguments.backends, "the output of `lower`");
  PartitionerList partitioners;
  RuntimeVersion runtime = newest_runtime;
  for (const std::string& backend : arguments.backends)
    runtime = std::min(runtime, add_backend(partitioners, backend, settings_of(arguments, backend)));
  StepClock clock;
  Methods methods = load_methods(arguments.models, arguments.weights);
  const std::string first_model = methods.front().second.source;
  clock.step("load");
  std::vector<ConstantMethod> constants = constant_methods(methods, arguments.save);
  std::vector<Warning> warnings;
  save(
      std::move(methods), partitioners, arguments.out, arguments.save,
      {.threads = common.threads,
       .strict = arguments.strict,
       .runtime = runtime,
       .hand_over = hand_over,
       .constant_methods = std::move(constants)},
      warnings, clock, [&](const SavedFile& saved) { return description(arguments, common, saved, warnings, first_model, clock); }, common);
}

}  // namespace

void add_lower(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("lower", "lower any program as it is: .pt2 in, .pte out (or a backend's hand-over)");
  const auto arguments = std::make_shared<LowerArguments>();
  reading(command->add_option("MODELS", arguments->models, "a .pt2, or method=A.pt2 method=B.pt2"))->required();
  writing(command->add_option("-o,--output", arguments->out, "where to write"))->required();
  command
      ->add_option("--backend", arguments->backends,
                   fmt::format("{}; several: the first takes its share first, portable kernels run what is left",
                               fmt::join(backend_names(), " or ")))
      ->required()
      ->allow_extra_args(false);
  command->add_option("--compat", arguments->compat, "torchao: lower exactly as ExecuTorch does, its losses included")
      ->check(CLI::IsMember({"intaglio", "torchao"}));
  key_and_value(command->add_option("--set", arguments->settings, "a setting of the backends, key=value"))->allow_extra_args(false);
  command->add_flag("--strict", arguments->strict, "what is not as asked for is an error, and nothing is written");
  add_weights_option(*command, arguments->weights);
  add_save_options(*command, arguments->save);
  command->callback([arguments, &common] { lower(*arguments, common); });
}

}  // namespace intaglio::cli
