#include <memory>

#include <fmt/format.h>

#include "cli/explanation_text.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"

namespace intaglio::cli {
namespace {

void build(const FlowArguments& options, const SaveArguments& save_arguments, const CommonOptions& common) {
  require_extension(options.out, ".pte", "the output of `build`");
  StepClock clock;
  Flow flow = run_flow(options, common, clock);
  std::vector<std::pair<std::string, ExportedProgram>> methods;
  methods.emplace_back("forward", std::move(flow.result.program));
  SavedFile saved = save(std::move(methods), flow.recipe.partitioners, options.out, save_arguments,
                         {.threads = common.threads,
                          .strict = options.strict,
                          .runtime = runtime_of(flow.recipe.settings),
                          .sample = std::move(flow.result.first_sample)},
                         flow.warnings, clock);

  const uint64_t bytes = std::filesystem::file_size(options.out);
  print_warnings(flow.warnings, common);
  if (common.json) {
    Json result = flow_json("intaglio.build/1", options, flow, bytes, clock);
    result["agreement"] = std::move(saved.agreement);
    result["methods"] = std::move(saved.methods);
    result["runtime"] = std::move(saved.runtime);
    return print(result);
  }
  if (common.quiet) return;
  say("{} -> {}: {} in {:.2f} s\n", options.model, options.out, bytes_text(bytes), clock.total_seconds());
  if (!flow.recipe.steps.empty()) say("{}", quantization_text(options, flow));
  say("{}", lowering_text(saved.methods, fmt::format("intaglio inspect {} --recipe {} --verbose", options.model, options.recipe)));
  say("{}{}steps: {}\n", saved.agreement_text, saved.runtime_text, clock.to_text());
}

}  // namespace

void add_build(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("build", "quantize and lower: a .pt2 in, a .pte out");
  const auto options = std::make_shared<FlowArguments>();
  add_flow_options(*command, *options);
  const auto save_arguments = std::make_shared<SaveArguments>();
  add_save_options(*command, *save_arguments);
  command->callback([options, save_arguments, &common] { build(*options, *save_arguments, common); });
}

}  // namespace intaglio::cli
