#include <memory>

#include <fmt/format.h>
#include <intaglio/pt2.h>

#include "cli/files.h"
#include "cli/flow.h"
#include "cli/page.h"
#include "report/html_contents.h"

namespace intaglio::cli {
namespace {

std::string description(const FlowArguments& options, const CommonOptions& common, const Flow& flow, const ExportedProgram& program,
                        uint64_t bytes, const StepClock& clock) {
  if (common.json) return to_text(flow_json("intaglio.quantize/1", options, flow, bytes, clock));
  if (common.quiet) return "";
  std::string text = fmt::format("{} -> {}: {} in {:.2f} s\n", options.model, options.out, bytes_text(bytes), clock.total_seconds());
  text += quantization_text(options, flow);
  if (const std::vector<std::string>& files = program.left_out_files; !files.empty())
    text += fmt::format("left out, as they may be code: {}\n", fmt::join(files, ", "));
  return printable(text);
}

void quantize(const FlowArguments& options, const CommonOptions& common) {
  require_extension(options.out, ".pt2", "the output of `quantize`");
  StepClock clock;
  Flow flow = begin_flow(options);
  ExportedProgram program = load_program(options.model, options.weights);
  clock.step("load");
  program = run_flow(flow, std::move(program), "", options, common, clock);
  std::optional<report::Page> page = page_of(options, common, flow, program);
  if (page) {
    report::add_operators(*page, flow.qdq ? *flow.qdq : program, flow.recipe.partitioners, common.threads);
    page->memory_note = "A .pt2 has no memory plan: `intaglio build --report` shows it.";
    clock.step("report");
  }
  Report report;
  save_exported_program(program, options.out, [&](uint64_t bytes) {
    clock.step("write");
    if (page) finish_page(*page, options, flow, bytes, clock);
    report = {warnings_text(flow.warnings, common), description(options, common, flow, program, bytes, clock)};
  });
  report.print();
}

}  // namespace

void add_quantize(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("quantize", "quantize only: a .pt2 in, a converted .pt2 out");
  const auto options = std::make_shared<FlowArguments>();
  reading(command->add_option("MODEL", options->model, "the program, a .pt2"))->required();
  add_flow_options(*command, *options);
  command
      ->add_option("--representation", options->representation,
                   "qdq: quantize and dequantize operators around float layers; reference: integer arithmetic in plain operators")
      ->check(CLI::IsMember({"qdq", "reference"}));
  command->callback([options, &common] { quantize(*options, common); });
}

}  // namespace intaglio::cli
