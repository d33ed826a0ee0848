#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "cli/explanation_text.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"
#include "cli/step_dump.h"

namespace intaglio::cli {
namespace {

struct LowerArguments {
  std::vector<std::string> models;  // A.pt2, or name=A.pt2 for several methods
  std::string out;
  std::vector<std::string> backends;
  std::string compat;
  std::vector<std::string> settings;  // key=value
  std::string dump;
};

std::vector<std::pair<std::string, ExportedProgram>> load_methods(const std::vector<std::string>& models) {
  std::vector<std::pair<std::string, ExportedProgram>> methods;
  for (const std::string& model : models) {
    // A path may hold `=`; a method's name is an identifier in front of the first one.
    const size_t equals = model.find('=');
    const bool named = equals != std::string::npos && equals > 0 &&
                       model.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == equals;
    const std::string name = named ? model.substr(0, equals) : "forward";
    for (const auto& [other, program] : methods)
      if (other == name) throw_usage(fmt::format("two programs are the method '{}': name them, as in prefill=A.pt2 decode=B.pt2", name));
    methods.emplace_back(name, load_exported_program(named ? model.substr(equals + 1) : model));
  }
  return methods;
}

// Of every backend alike; --compat is the short form of one of them.
RecipeSettings settings_of(const LowerArguments& arguments) {
  RecipeSettings settings = parse_settings(arguments.settings);
  if (!arguments.compat.empty() && !settings.emplace("compat", arguments.compat).second)
    throw_usage("--compat and --set compat=... are one setting: give one of them");
  return settings;
}

void lower(const LowerArguments& arguments, const CommonOptions& common) {
  require_extension(arguments.out, ".pte", "the output of `lower`");
  PartitionerList partitioners;
  RuntimeVersion runtime = newest_runtime;
  for (const std::string& backend : arguments.backends)
    runtime = std::min(runtime, add_backend(partitioners, backend, settings_of(arguments)));
  StepClock clock;
  std::vector<std::pair<std::string, ExportedProgram>> methods = load_methods(arguments.models);
  const std::string first_model = methods.front().second.source;
  clock.step("load");
  StepDump dump(arguments.dump);
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& warning) { warnings.push_back(warning); };
  EdgeProgram edge =
      to_edge_transform_and_lower(std::move(methods), partitioners, {.threads = common.threads, .observe = dump.observer(), .warn = warn});
  clock.step("lower");
  Json lowering = lowering_json(edge);
  const ExecutorchProgram program = std::move(edge).to_executorch({.threads = common.threads, .runtime = runtime});
  program.save(arguments.out);
  clock.step("write");

  const uint64_t bytes = std::filesystem::file_size(arguments.out);
  print_warnings(warnings, common);
  if (common.json) {
    Json result = document("intaglio.lower/1");
    result["models"] = arguments.models;
    result["output"] = arguments.out;
    result["bytes"] = bytes;
    result["methods"] = std::move(lowering);
    result["runtime"] = runtime_json(program.runtime_needs());
    result["steps"] = clock.to_json();
    result["warnings"] = warnings;
    return print(result);
  }
  if (common.quiet) return;
  const std::string hint = fmt::format("intaglio inspect {} --backend {} --verbose", first_model, arguments.backends.front());
  fmt::print("{}: {} in {:.2f} s\n{}{}steps: {}\n", arguments.out, bytes_text(bytes), clock.total_seconds(), lowering_text(lowering, hint),
             runtime_text(program.runtime_needs()), clock.to_text());
}

}  // namespace

void add_lower(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("lower", "lower any program as it is: .pt2 in, .pte out");
  const auto arguments = std::make_shared<LowerArguments>();
  command->add_option("MODELS", arguments->models, "a .pt2, or method=A.pt2 method=B.pt2")->required();
  command->add_option("-o,--output", arguments->out, "where to write")->required();
  command
      ->add_option("--backend", arguments->backends,
                   fmt::format("{}; several: the first takes its share first, portable kernels run what is left",
                               fmt::join(backend_names(), " or ")))
      ->required()
      ->allow_extra_args(false);
  command->add_option("--compat", arguments->compat, "torchao: lower exactly as ExecuTorch does, its losses included")
      ->check(CLI::IsMember({"intaglio", "torchao"}));
  command->add_option("--set", arguments->settings, "a setting of the backends, key=value")->allow_extra_args(false);
  command->add_option("--dump", arguments->dump, "a folder for the program after each step of lowering, as text");
  command->callback([arguments, &common] { lower(*arguments, common); });
}

}  // namespace intaglio::cli
