#include <algorithm>
#include <numeric>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {

// A transpose, not a reshape: it takes any number of symbolic sizes.
void replace_copies(PayloadGraph& graph) {
  for (PayloadNode& node : graph.nodes) {
    if (node.kind != NodeKind::Copy) continue;
    DimsAttributes same{std::vector<uint32_t>(std::max<size_t>(graph.values[node.output].dims.size(), 1))};
    std::iota(same.dims.begin(), same.dims.end(), 0u);
    node.kind = NodeKind::StaticTranspose;
    node.attributes = std::move(same);
  }
}

}  // namespace intaglio::xnnpack
