// What fills the page: the program's operators, its errors against the float program, its histograms, the file's memory plan.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include <intaglio/edge.h>
#include <intaglio/pt2e.h>

#include "report/comparison.h"
#include "report/executable.h"
#include "report/html_page.h"

namespace intaglio::report {

// Where modules first come in a program: lowering takes operators apart, and delegates out of their order.
using ModuleOrder = std::unordered_map<std::string, size_t>;
ModuleOrder module_order(const ExportedProgram& program);

void add_operators(Page& page, const EdgeMethod& method, const ModuleOrder& order);
// The same of a program as it will be once the program is lowered to these; where it cannot be, as it stands, and the note says why.
void add_operators(Page& page, const ExportedProgram& program, const PartitionerList& partitioners, int threads);

// Of the plan's activations, those first that `page.errors` ranks worst; statistics come from the plan. And of the program's
// weights, the largest first, as they are stored.
void add_histograms(Page& page, const Plan& plan, const ExportedProgram& program, int threads);

struct ErrorOptions {
  int threads = 0;
  Numerics numerics = Numerics::as_written;    // of the candidate's values
  std::chrono::milliseconds timeout{300'000};  // of its runs on the runtime
};
// Value by value, and what each layer costs where finding out takes no longer than a build may. What stands in the way is said in
// the note.
using SampleLoader = std::function<std::vector<Tensor>(size_t index)>;
void add_errors(Page& page, const ExportedProgram& floats, const ExportedProgram& quantized, size_t samples, const SampleLoader& load,
                const ErrorOptions& options);

// Facts of the outputs.
void add_outputs(Page& page, const Comparison& comparison);
// How many of the samples a build can afford to run again for its report; one at least where there is one.
size_t samples_for_report(const ExportedProgram& program, size_t samples);

void add_memory(Page& page, const std::filesystem::path& pte);

}  // namespace intaglio::report
