#include <memory>

#include <fmt/format.h>

#include "cli/explanation_text.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"
#include "cli/page.h"

namespace intaglio::cli {
namespace {

std::string description(const FlowArguments& options, const CommonOptions& common, const Flow& flow, const SavedFile& saved,
                        const StepClock& clock) {
  if (common.json) {
    Json result = flow_json("intaglio.build/1", options, flow, saved.bytes, clock);
    result["agreement"] = saved.agreement;
    result["methods"] = saved.methods;
    result["runtime"] = saved.runtime;
    return to_text(result);
  }
  if (common.quiet) return "";
  std::string text = fmt::format("{} -> {}: {} in {:.2f} s\n", options.model, options.out, bytes_text(saved.bytes), clock.total_seconds());
  if (!flow.recipe.steps.empty()) text += quantization_text(options, flow);
  text += lowering_text(saved.methods, fmt::format("intaglio inspect {} --recipe {} --verbose", options.model, options.recipe));
  return printable(text + fmt::format("{}{}steps: {}\n", saved.agreement_text, saved.runtime_text, clock.to_text()));
}

void build(const FlowArguments& options, const SaveArguments& save_arguments, const CommonOptions& common) {
  require_extension(options.out, ".pte", "the output of `build`");
  StepClock clock;
  Flow flow = run_flow(options, common, clock);
  SaveArguments saving = save_arguments;
  if (!flow.recipe.steps.empty()) saving.float_bytes = std::filesystem::file_size(options.model);
  std::optional<report::Page> page = page_of(options, common, flow);
  if (page) {
    saving.page = &*page;
    clock.step("report");
  }
  std::vector<std::pair<std::string, ExportedProgram>> methods;
  methods.emplace_back("forward", std::move(flow.result.program));
  save(
      std::move(methods), flow.recipe.partitioners, options.out, saving,
      {.threads = common.threads,
       .strict = options.strict,
       .runtime = runtime_of(flow.recipe.settings),
       .sample = std::move(flow.result.first_sample)},
      flow.warnings, clock,
      [&](const SavedFile& saved) {
        if (page) {
          if (const size_t end = saved.agreement_text.find('\n'); end != std::string::npos)
            page->notes.push_back(saved.agreement_text.substr(0, end));
          finish_page(*page, options, flow, saved.bytes, clock);
        }
        return description(options, common, flow, saved, clock);
      },
      common);
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
