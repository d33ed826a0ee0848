#include <algorithm>
#include <numeric>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {

DimsAttributes order_as_it_is(const PayloadValue& value) {
  DimsAttributes order{std::vector<uint32_t>(std::max<size_t>(value.dims.size(), 1))};
  std::iota(order.dims.begin(), order.dims.end(), 0u);
  return order;
}

// A transpose, not a reshape: it takes any number of symbolic sizes.
void replace_copies(PayloadGraph& graph) {
  for (PayloadNode& node : graph.nodes) {
    if (node.kind != NodeKind::Copy) continue;
    node.kind = NodeKind::StaticTranspose;
    node.attributes = order_as_it_is(graph.values[node.output]);
  }
}

}  // namespace intaglio::xnnpack
