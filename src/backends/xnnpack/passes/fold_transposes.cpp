#include <numeric>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

bool exchanges_last_two(const PayloadNode& node) {
  if (node.kind != NodeKind::StaticTranspose) return false;
  const std::vector<uint32_t>& dims = node.get<DimsAttributes>().dims;
  if (dims.size() < 2) return false;
  std::vector<uint32_t> exchanged(dims.size());
  std::iota(exchanged.begin(), exchanged.end(), 0u);
  std::swap(exchanged[dims.size() - 2], exchanged[dims.size() - 1]);
  return dims == exchanged;
}

}  // namespace

void fold_transposes(PayloadGraph& graph) {
  const std::vector<size_t> made_by = producers(graph);
  for (PayloadNode& node : graph.nodes) {
    if (node.kind != NodeKind::BatchMatrixMultiply || made_by[node.inputs[1]] == no_node) continue;
    const PayloadNode& transpose = graph.nodes[made_by[node.inputs[1]]];
    if (!exchanges_last_two(transpose)) continue;
    node.inputs[1] = transpose.inputs[0];
    node.flags ^= flags::transpose_weights;
  }
}

}  // namespace intaglio::xnnpack
