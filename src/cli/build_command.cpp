#include <memory>

#include <fmt/format.h>
#include <intaglio/edge.h>

#include "cli/explanation_text.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"
#include "cli/step_dump.h"

namespace intaglio::cli {
namespace {

void build(const FlowArguments& options, const std::string& dump_folder, const CommonOptions& common) {
  require_extension(options.out, ".pte", "the output of `build`");
  StepClock clock;
  Flow flow = run_flow(options, common, clock);
  StepDump dump(dump_folder);
  const auto warn = [&](const std::string& warning) { flow.warnings.push_back(warning); };
  EdgeProgram edge = to_edge_transform_and_lower(std::move(flow.result.program), flow.recipe.partitioners,
                                                 {.threads = common.threads, .observe = dump.observer(), .warn = warn});
  clock.step("lower");
  Json lowering = lowering_json(edge);
  const ExecutorchProgram program = std::move(edge).to_executorch({.threads = common.threads, .runtime = runtime_of(flow.recipe.settings)});
  program.save(options.out);
  clock.step("write");

  const uint64_t bytes = std::filesystem::file_size(options.out);
  print_warnings(flow.warnings, common);
  if (common.json) {
    Json result = flow_json("intaglio.build/1", options, flow, bytes, clock);
    result["methods"] = std::move(lowering);
    result["runtime"] = runtime_json(program.runtime_needs());
    return print(result);
  }
  if (common.quiet) return;
  fmt::print("{} -> {}: {} in {:.2f} s\n", options.model, options.out, bytes_text(bytes), clock.total_seconds());
  if (!flow.recipe.steps.empty()) fmt::print("{}\n", quantization_text(options, flow));
  fmt::print("{}", lowering_text(lowering, fmt::format("intaglio inspect {} --recipe {} --verbose", options.model, options.recipe)));
  fmt::print("{}steps: {}\n", runtime_text(program.runtime_needs()), clock.to_text());
}

}  // namespace

void add_build(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("build", "quantize and lower: a .pt2 in, a .pte out");
  const auto options = std::make_shared<FlowArguments>();
  add_flow_options(*command, *options);
  const auto dump = std::make_shared<std::string>();
  command->add_option("--dump", *dump, "a folder for the program after each step of lowering, as text");
  command->callback([options, dump, &common] { build(*options, *dump, common); });
}

}  // namespace intaglio::cli
