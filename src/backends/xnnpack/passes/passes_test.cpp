// The `.test` files beside the passes, and payloads.test: payload graphs after the steps that a case names.
#include <algorithm>

#include "backends/xnnpack/payload/payload_bytes.h"
#include "backends/xnnpack/preprocess.h"
#include "ir/parser.h"
#include "testing/text_cases.h"

namespace intaglio::xnnpack {
namespace {

// Takes what is said behind the names off them.
bool asked_for(std::vector<std::string>& steps, std::string_view setting) {
  if (!steps.at(0).ends_with(setting)) return false;
  for (std::string& step : steps) step.resize(step.size() - setting.size());
  return true;
}

// `payload` is what is read back from the written bytes; ` compat=torchao` or ` runtime=1.0` behind a name holds for the
// whole case.
std::string graphs_after(std::vector<std::string> steps, const std::string& input) {
  XnnpackPartitionerOptions options;
  if (asked_for(steps, " compat=torchao")) options.compat = Compat::torchao;
  if (asked_for(steps, " runtime=1.0")) options.runtime = RuntimeVersion::v1_0;
  const ExportedProgram program = parse_program(input);
  std::string text;
  const auto show = [&](std::string_view step, const PayloadGraph& graph) {
    if (std::ranges::find(steps, step) == steps.end()) return;
    text += std::string(text.empty() ? "" : "\n") + "# " + std::string(step) + "\n" + to_string(graph);
  };
  const PayloadGraph graph = lower_partition(program, Features::of(options), show);
  show("payload", read_payload(write_payload(graph).bytes));
  return text;
}

const bool registered = test::register_text_cases("XnnpackPasses", "src/backends/xnnpack/passes", graphs_after) &&
                        test::register_text_cases("XnnpackPasses", "src/backends/xnnpack/payloads.test", graphs_after);

}  // namespace
}  // namespace intaglio::xnnpack
