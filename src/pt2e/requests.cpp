#include "pt2e/steps.h"

#include <algorithm>

#include <fmt/format.h>

#include "decompose/regions.h"
#include "interpreter/constant_values.h"
#include "ir/work.h"
#include "pt2e/uncalibrated.h"

namespace intaglio::pt2e {
namespace {

class Requests {
 public:
  explicit Requests(const PreparedProgram::State& state) : state_(state), constants_(state.program), share_(state.program) {}

  void check(const Annotations::Request& request) {
    if (request.nodes.empty()) return warn_of_unknown(request);
    if (!request.to_be_quantized) return;
    const std::vector<const Node*> left = passed_over(request);
    if (left.empty()) return;
    const Node& largest = **std::ranges::max_element(left, {}, [&](const Node* node) { return work_of(state_.program, *node).amount; });
    const std::string others = left.size() == 1 ? "" : fmt::format(" and {} more", left.size() - 1);
    state_.warn({fmt::format("{} is to be quantized, but {}{} stays in float ({:.1f}% of the work): {}", request.name, describe(largest),
                             others, 100 * share_.of(left), reason(largest)),
                 true});
  }

 private:
  void warn_of_unknown(const Annotations::Request& request) {
    state_.warn({fmt::format("{} is to {}, but nothing in the program has that name; `inspect` lists its layers", request.name,
                             request.to_be_quantized ? "be quantized" : "stay in float"),
                 request.to_be_quantized});
  }

  std::vector<const Node*> passed_over(const Annotations::Request& request) {
    const auto annotated = [&](const Node* node) { return state_.annotations.is_annotated(node); };
    const bool any = std::ranges::any_of(request.nodes, annotated);
    std::vector<const Node*> left;
    for (const Node* node : request.nodes)
      if (!annotated(node) && computes_at_run_time(*node) && (!any || work_of(state_.program, *node).is_macs)) left.push_back(node);
    return left;
  }

  // Nothing is known of what sub-graphs hold.
  bool is_inside(const Node& node) const { return &node.graph() != &state_.program.graph(); }

  bool computes_at_run_time(const Node& node) {
    return computes_on_floats(node) && decompose::subgraphs_of(node).empty() &&
           (is_inside(node) ||
            std::ranges::any_of(node.inputs(), [&](const Value* input) { return input->is_tensor() && !constants_.is_constant(input); }));
  }

  std::string reason(const Node& node) const {
    if (is_inside(node)) return std::string(subgraph_refusal);
    const std::string* refusal = state_.annotations.refusal(&node);
    return refusal != nullptr ? *refusal : "the quantizer does not annotate it";
  }

  const PreparedProgram::State& state_;
  ConstantValues constants_;
  WorkShare share_;
};

}  // namespace

void warn_of_requests(const PreparedProgram::State& state) {
  Requests requests(state);
  for (const Annotations::Request& request : state.annotations.requests()) requests.check(request);
}

}  // namespace intaglio::pt2e
