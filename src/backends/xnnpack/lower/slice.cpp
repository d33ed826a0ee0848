// Slices, also with steps.
#include <algorithm>

#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::lower {

void slice(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const auto& sizes = node.output()->sizes();
  const size_t dim = normalized(node.integer("dim"), dims.size());
  const int64_t start = slice_start(node, dims[dim]);
  // A step beyond the dimension takes one element, as a step of its length does.
  const int64_t count = lowering.dims_of(node.output())[dim], step = std::min(node.integer("step"), std::max<int64_t>(1, dims[dim]));
  if (step != 1) {
    const auto symbolic = std::ranges::find_if(sizes, [](const SymInt& size) { return !size.is_static(); });
    std::optional<size_t> inferred;
    if (symbolic != sizes.end()) inferred = static_cast<size_t>(symbolic - sizes.begin());
    lowering.alias(seen_by(lowering, input, {.dim = dim, .start = start, .count = count, .stride = step}, inferred));
    return;
  }
  SliceAttributes a{std::vector<uint32_t>(dims.size(), 0), {dims.begin(), dims.end()}};
  // A symbolic size is taken whole.
  for (size_t i = 0; i < dims.size(); ++i)
    if (!sizes[i].is_static()) a.sizes[i] = 0;
  a.offsets[dim] = static_cast<uint32_t>(start);
  a.sizes[dim] = static_cast<uint32_t>(count);
  lowering.emit(kind, {input}, std::move(a));
}

}  // namespace intaglio::xnnpack::lower
