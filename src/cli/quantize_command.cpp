#include <memory>

#include <fmt/format.h>
#include <intaglio/pt2.h>

#include "cli/flow.h"

namespace intaglio::cli {
namespace {

void quantize(const FlowArguments& options, const CommonOptions& common) {
  require_extension(options.out, ".pt2", "the output of `quantize`");
  StepClock clock;
  const Flow flow = run_flow(options, common, clock);
  save_exported_program(flow.result.program, options.out);
  clock.step("write");

  const uint64_t bytes = std::filesystem::file_size(options.out);
  print_warnings(flow.warnings, common);
  if (common.json) return print(flow_json("intaglio.quantize/1", options, flow, bytes, clock));
  if (common.quiet) return;
  say("{} -> {}: {} in {:.2f} s\n", options.model, options.out, bytes_text(bytes), clock.total_seconds());
  if (!flow.recipe.steps.empty()) say("{}", quantization_text(options, flow));
  if (const std::vector<std::string>& files = flow.result.program.left_out_files; !files.empty())
    say("left out, as they may be code: {}\n", fmt::join(files, ", "));
}

}  // namespace

void add_quantize(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("quantize", "quantize only: a .pt2 in, a converted .pt2 out");
  const auto options = std::make_shared<FlowArguments>();
  add_flow_options(*command, *options);
  command->callback([options, &common] { quantize(*options, common); });
}

}  // namespace intaglio::cli
