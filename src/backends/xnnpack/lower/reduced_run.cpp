#include "backends/xnnpack/lower/node_facts.h"

#include <set>

namespace intaglio::xnnpack {

std::optional<ReducedRun> reduced_run(const Node& node) {
  const auto rank = static_cast<int64_t>(node.tensor("self")->sizes().size());
  const Argument* argument = node.find("dim");
  std::set<int64_t> dims;
  if (argument && argument->is<int64_t>()) {
    dims.insert(*argument->get_if<int64_t>());
  } else if (argument && !argument->is_none()) {
    for (const int64_t dim : node.integers("dim")) dims.insert(dim);
  }
  std::set<int64_t> positive;
  for (const int64_t dim : dims) positive.insert(dim < 0 ? dim + rank : dim);
  if (rank == 0) return std::nullopt;
  if (positive.empty()) return ReducedRun{0, static_cast<size_t>(rank), static_cast<size_t>(rank)};
  const auto first = *positive.begin(), last = *positive.rbegin();
  if (first < 0 || last >= rank || last - first + 1 != static_cast<int64_t>(positive.size())) return std::nullopt;
  return ReducedRun{static_cast<size_t>(first), positive.size(), static_cast<size_t>(rank)};
}

double correction_of(const Node& node) { return node.argument("correction").is_none() ? 1 : node.number("correction"); }

}  // namespace intaglio::xnnpack
