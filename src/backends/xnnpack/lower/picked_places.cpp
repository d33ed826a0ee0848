// x[:, :, [2, 1, 0, 1, 2]], and a part of a tensor put in place of another.
#include "backends/xnnpack/lower/node_facts.h"

#include <algorithm>
#include <numeric>

#include "backends/xnnpack/lower/pieces.h"
#include "decompose/resampling.h"

namespace intaglio::xnnpack {

std::optional<PickedPlaces> picked_places(const common::ProgramFacts& facts, const Node& node) {
  const auto& sizes = node.tensor("self")->sizes();
  PickedPlaces picked;
  const Value* index = nullptr;
  if (node.is("aten.index_select.default")) {
    picked.dim = lower::normalized(node.integer("dim"), sizes.size());
    index = node.tensor("index");
  } else {
    const std::vector<Value*> indices = node.tensors("indices");
    for (size_t dim = 0; dim < indices.size(); ++dim) {
      if (indices[dim] && index) return std::nullopt;
      if (!indices[dim]) continue;
      index = indices[dim];
      picked.dim = dim;
    }
  }
  if (!index || index->meta().rank() != 1 || !sizes[picked.dim].is_static()) return std::nullopt;
  const bool are_places = index->dtype() == DType::int64 || index->dtype() == DType::int32;
  const auto constant = are_places ? facts.constant_value(index) : std::nullopt;
  if (!constant || constant->numel() == 0) return std::nullopt;
  const Tensor integers = converted(*constant, DType::int64).contiguous();
  const int64_t size = sizes[picked.dim].value();
  for (const int64_t place : integers.span<int64_t>()) {
    if (place < -size || place >= size) return std::nullopt;
    picked.places.push_back(place < 0 ? place + size : place);
  }
  return picked;
}

NearestAxis::NearestAxis(const Node& node, size_t dim) {
  const int64_t from = node.tensor("input")->sizes()[dim].value(), to = node.output()->sizes()[dim].value();
  places = decompose::nearest_places(from, to, decompose::resize_factor(node, dim - 2));
  bool repeats = from > 0 && to % from == 0;
  for (int64_t i = 0; repeats && i < to; ++i) repeats = places[static_cast<size_t>(i)] == i / (to / from);
  if (repeats) times = to / from;
}

namespace lower {

void pick(Lowering& lowering, const Node& node, NodeKind) {
  const auto [dim, places] = *picked_places(lowering.facts(), node);
  picked(lowering, lowering.operand("self"), dim, places, true);
}

// Windows of a dimension, which may overlap, as a last dimension: they are taken side by side.
void unfold(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId input = lowering.operand("self");
  std::vector<int64_t> dims = lowering.value(input).dims, places;
  const size_t dim = normalized(node.integer("dimension"), dims.size());
  const int64_t size = node.integer("size"), step = node.integer("step"), count = (dims[dim] - size) / step + 1;
  for (int64_t window = 0; window < count; ++window)
    for (int64_t i = 0; i < size; ++i) places.push_back(window * step + i);
  const ValueId windows = picked(lowering, input, dim, places);
  dims[dim] = size;
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(dim), count);
  std::vector<uint32_t> order(dims.size());
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin() + static_cast<std::ptrdiff_t>(dim) + 1, order.begin() + static_cast<std::ptrdiff_t>(dim) + 2, order.end());
  lowering.alias(lowering.transposed(lowering.reshaped(windows, dims), order));
}

void slice_scatter(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId input = lowering.operand("self"), source = lowering.operand("src");
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const size_t dim = normalized(node.integer("dim"), dims.size());
  const int64_t start = slice_start(node, dims[dim]);
  const int64_t end = start + lowering.value(source).dims[dim];
  std::vector<ValueId> parts = {source};
  if (start > 0) parts.insert(parts.begin(), piece(lowering, input, dim, 0, start));
  if (end < dims[dim]) parts.push_back(piece(lowering, input, dim, end, dims[dim] - end));
  joined(lowering, std::move(parts), dim, true);
}

}  // namespace lower
}  // namespace intaglio::xnnpack
