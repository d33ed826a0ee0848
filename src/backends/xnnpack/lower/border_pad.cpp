// Borders made of the image itself: slices of it, joined around it.
#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::lower {
namespace {

// Which element of `size` stands at a place in front of the first or behind the last.
using Source = int64_t (*)(int64_t place, int64_t size);
int64_t mirrored(int64_t place, int64_t size) { return place < 0 ? -place : 2 * (size - 1) - place; }
int64_t nearest(int64_t place, int64_t size) { return place < 0 ? 0 : size - 1; }

std::vector<size_t> symbolic_places(const Value& value) {
  std::vector<size_t> places;
  for (size_t i = 0; i < value.sizes().size(); ++i)
    if (!value.sizes()[i].is_static()) places.push_back(i);
  return places;
}

// A line as the image that convolutions of lines work on, so that no layout changes between them.
ValueId as_column(Lowering& lowering, const Node& node, ValueId line) {
  std::vector<int64_t> dims = lowering.value(line).dims;
  dims.push_back(1);
  const std::vector<size_t> symbolic = symbolic_places(*node.output());
  return lowering.reshaped(line, dims, symbolic.empty() ? std::nullopt : std::optional(symbolic[0]));
}

void pad_borders(Lowering& lowering, const Node& node, Source source) {
  ValueId image = lowering.operand("self");
  const size_t rank = lowering.value(image).dims.size();
  const std::vector<int64_t> pads = node.integers("padding");  // from the last dimension on: before, after
  size_t left = 0;                                             // dimensions to pad
  for (size_t i = 0; i < pads.size(); i += 2) left += pads[i] + pads[i + 1] > 0;
  if (left == 0) return lowering.alias(image);
  const bool is_line = pads.size() == 2 && rank == 3 && symbolic_places(*node.output()).size() <= 1;
  if (is_line) image = as_column(lowering, node, image);
  for (size_t i = pads.size(); i > 0; i -= 2) {
    const int64_t before = pads[i - 2], after = pads[i - 1];
    if (before + after == 0) continue;
    const size_t dim = rank - i / 2;
    const int64_t size = lowering.value(image).dims[dim];
    std::vector<int64_t> places;
    for (int64_t place = -before; place < size + after; ++place) places.push_back(place < 0 || place >= size ? source(place, size) : place);
    image = picked(lowering, image, dim, places, --left == 0 && !is_line);
  }
  if (is_line) lowering.emit(NodeKind::StaticReshape, {image}, reshape_attributes(*node.output()));
}

}  // namespace

void reflection_pad(Lowering& lowering, const Node& node, NodeKind) { pad_borders(lowering, node, mirrored); }
void replication_pad(Lowering& lowering, const Node& node, NodeKind) { pad_borders(lowering, node, nearest); }

}  // namespace intaglio::xnnpack::lower
