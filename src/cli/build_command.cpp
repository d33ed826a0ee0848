#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "cli/explanation_text.h"
#include "cli/files.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"
#include "cli/page.h"

namespace intaglio::cli {
namespace {

std::string description(const FlowArguments& options, const CommonOptions& common, const Flow& flow, const SavedFile& saved,
                        const std::string& first_model, const StepClock& clock) {
  if (common.json) {
    Json result = flow_json("intaglio.build/1", options, flow, saved.bytes, clock);
    result["agreement"] = saved.agreement;
    result["methods"] = saved.methods;
    result["runtime"] = saved.runtime;
    return to_text(result);
  }
  if (common.quiet) return "";
  std::string text = fmt::format("{} -> {}: {} in {:.2f} s\n", options.model, options.out, bytes_text(saved.bytes), clock.total_seconds());
  text += quantization_text(options, flow);
  text += lowering_text(saved.methods, fmt::format("intaglio inspect {} --recipe {} --verbose", first_model, options.recipe));
  return printable(text + fmt::format("{}{}steps: {}\n", saved.agreement_text, saved.runtime_text, clock.to_text()));
}

void build(const std::vector<std::string>& models, const FlowArguments& options, const SaveArguments& save_arguments,
           const CommonOptions& common) {
  StepClock clock;
  Flow flow = begin_flow(options);
  const HandOver* hand_over = hand_over_of(options.out, {flow.recipe.info.backend}, "the output of `build`");
  if (models.size() > 1 && !(options.calibrate + options.plan + options.save_plan + options.report_file).empty())
    throw_usage("samples, plans and reports are of one program; `quantize` each with its own, then `lower` them together");
  Methods methods = load_methods(models, options.weights);
  const std::string first_model = methods.front().second.source;
  clock.step("load");
  std::vector<ConstantMethod> constants = constant_methods(methods, save_arguments);
  for (auto& [name, program] : methods)
    program = run_flow(flow, std::move(program), methods.size() > 1 ? name : "", options, common, clock);
  SaveArguments saving = save_arguments;
  if (flow.recipe.quantizes())
    for (const auto& [name, program] : methods) saving.float_bytes += std::filesystem::file_size(program.source);
  std::optional<report::Page> page = page_of(options, common, flow, methods.front().second);
  if (page) {
    saving.page = &*page;
    clock.step("report");
  }
  save(
      std::move(methods), flow.recipe.partitioners, options.out, saving,
      {.threads = common.threads,
       .strict = options.strict,
       .runtime = runtime_of(flow.recipe.settings),
       .sample = std::move(flow.first_sample),
       .hand_over = hand_over,
       .constant_methods = std::move(constants)},
      flow.warnings, clock,
      [&](const SavedFile& saved) {
        if (page) {
          if (const size_t end = saved.agreement_text.find('\n'); end != std::string::npos)
            page->notes.push_back(saved.agreement_text.substr(0, end));
          finish_page(*page, options, flow, saved.bytes, clock);
        }
        return description(options, common, flow, saved, first_model, clock);
      },
      common);
}

}  // namespace

void add_build(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("build", "quantize and lower: a .pt2 in, a .pte out (or a backend's hand-over)");
  const auto models = std::make_shared<std::vector<std::string>>();
  const auto options = std::make_shared<FlowArguments>();
  reading(command->add_option("MODELS", *models, "a .pt2, or method=A.pt2 method=B.pt2"))->required();
  add_flow_options(*command, *options);
  const auto save_arguments = std::make_shared<SaveArguments>();
  add_save_options(*command, *save_arguments);
  command->callback([models, options, save_arguments, &common] {
    options->model = fmt::format("{}", fmt::join(*models, " "));
    build(*models, *options, *save_arguments, common);
  });
}

}  // namespace intaglio::cli
