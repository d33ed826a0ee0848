// `--report`: what a command found, as a page.
#pragma once

#include <optional>
#include <string>

#include "cli/flow.h"
#include "report/html_page.h"

namespace intaglio::cli {

void add_report_option(CLI::App& command, std::string& path);

// Of a flow that has run, before its program goes on: errors, histograms, notes. None when no report was asked for.
std::optional<report::Page> page_of(const FlowArguments& arguments, const CommonOptions& common, const Flow& flow,
                                    const ExportedProgram& program);
// Adds what is known in the end, the size of the output and the times, and writes it.
void finish_page(report::Page& page, const FlowArguments& arguments, const Flow& flow, uint64_t bytes, const StepClock& clock);

}  // namespace intaglio::cli
