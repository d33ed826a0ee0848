#include "cli/page.h"

#include <filesystem>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "base/atomic_file.h"
#include "cli/files.h"
#include "report/html_contents.h"

namespace intaglio::cli {
namespace {

void add_comparison(report::Page& page, const FlowArguments& arguments, const CommonOptions& common, const Flow& flow,
                    const ExportedProgram& quantized) {
  const ExportedProgram& floats = *flow.floats;
  if (!flow.recipe.quantizes()) {
    page.errors_note = "The recipe quantizes nothing.";
    return;
  }
  if (arguments.calibrate.empty()) {
    page.errors_note = "Errors are found on samples: give --calibrate.";
    return;
  }
  const SampleSource source = calibration_samples(arguments, floats);
  const size_t samples = report::samples_for_report(floats, source.size());
  const auto load = [&](size_t i) { return source.load(i).inputs; };
  try {
    Interpreter reference(floats, {.threads = common.threads}), candidate(quantized, {.threads = common.threads});
    report::Comparer comparer;
    for (size_t i = 0; i < samples; ++i) {
      const std::vector<Tensor> inputs = load(i);
      comparer.add(reference.run(inputs), candidate.run(inputs));
    }
    report::add_outputs(page, comparer.result());
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) throw;
    page.errors_note = fmt::format("Outputs were not compared: {}.", error.what());
  }
  report::add_errors(page, floats, quantized, samples, load, {.threads = common.threads});
}

}  // namespace

void add_report_option(CLI::App& command, std::string& path) {
  writing(command.add_option("--report", path, "write what was found as one page (.html) that loads nothing"));
}

std::optional<report::Page> page_of(const FlowArguments& arguments, const CommonOptions& common, const Flow& flow,
                                    const ExportedProgram& program) {
  if (arguments.report_file.empty()) return std::nullopt;
  report::Page page;
  page.title = fmt::format("{}: {}", std::filesystem::path(arguments.model).filename().string(), flow.recipe.info.name);
  page.facts.push_back({"model", arguments.model, {}});
  page.facts.push_back({"output", arguments.out, {}});
  page.facts.push_back({"calibration samples", fmt::format("{}", flow.calibration_samples), flow.calibration_samples});
  page.facts.push_back({"tensors quantized", fmt::format("{}", flow.quantized_tensors), flow.quantized_tensors});
  page.notes = flow.notes;
  if (flow.qdq) page.notes.push_back("Operators and errors are those of the quantize and dequantize form that the output was made of.");
  const ExportedProgram& quantized = flow.qdq ? *flow.qdq : program;
  add_comparison(page, arguments, common, flow, quantized);
  report::add_histograms(page, flow.plan, quantized, common.threads);
  return page;
}

void finish_page(report::Page& page, const FlowArguments& arguments, const Flow& flow, uint64_t bytes, const StepClock& clock) {
  const uint64_t before = std::filesystem::file_size(flow.floats->source);
  page.facts.push_back({"size of the model", bytes_text(before), static_cast<double>(before)});
  page.facts.push_back({"size of the output", bytes_text(bytes), static_cast<double>(bytes)});
  page.facts.push_back({"time", fmt::format("{:.2f} s ({})", clock.total_seconds(), clock.to_text()), {}, true});
  page.warnings = grouped(flow.warnings);
  write_file_atomically(arguments.report_file, report::to_html(page));
}

}  // namespace intaglio::cli
