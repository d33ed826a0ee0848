// Resizing and ops that move data.
#include <algorithm>

#include "backends/xnnpack/lower/node_facts.h"
#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::lower {
void upsample(Lowering& lowering, const Node& node, NodeKind kind) {
  const std::vector<int64_t> out = lowering.dims_of(node.output());
  lowering.emit(kind, {lowering.operand("input")}, ResizeAttributes{static_cast<uint32_t>(out[2]), static_cast<uint32_t>(out[3])},
                node.boolean("align_corners") ? flags::align_corners : 0);
}

namespace {

// Elements of [N, H, 1, W, 1, C] are repeated along the ones. In NHWC the transposes are nothing.
void repeat(Lowering& lowering, ValueId input, int64_t vertical, int64_t horizontal) {
  const std::vector<int64_t> in = lowering.value(input).dims;
  const ValueId rows = lowering.reshaped(lowering.transposed(input, {0, 2, 3, 1}), {in[0], in[2], 1, in[3], 1, in[1]});
  Tensor ones = Tensor::empty(DType::float32, {1, 1, vertical, 1, horizontal, 1});
  std::fill_n(ones.mutable_data<float>(), ones.numel(), 1.0f);
  const ValueId repeated = lowering.compute(NodeKind::Multiply, {rows, lowering.float_constant(ones, "repeat", input)}, {},
                                            std::vector<int64_t>{in[0], in[2], vertical, in[3], horizontal, in[1]});
  const ValueId image = lowering.reshaped(repeated, {in[0], in[2] * vertical, in[3] * horizontal, in[1]});
  lowering.emit(NodeKind::StaticTranspose, {image}, DimsAttributes{{0, 3, 1, 2}});
}

}  // namespace

// Axes that grow by a whole factor are repeated once the others are picked.
void upsample_nearest(Lowering& lowering, const Node& node, NodeKind) {
  const NearestAxis rows(node, 2), columns(node, 3);
  ValueId image = lowering.operand("input");
  if (rows.times == 0) image = picked(lowering, image, 2, rows.places);
  const bool repeats = rows.times > 1 || columns.times > 1;
  if (!repeats || columns.times == 0) image = picked(lowering, image, 3, columns.places, !repeats);
  if (repeats) repeat(lowering, image, std::max<int64_t>(rows.times, 1), std::max<int64_t>(columns.times, 1));
}

void reshape(Lowering& lowering, const Node& node, NodeKind kind) {
  lowering.emit(kind, {lowering.operand("self")}, reshape_attributes(*node.output()));
}

void permute(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  DimsAttributes permutation;
  for (const int64_t dim : node.integers("dims"))
    permutation.dims.push_back(static_cast<uint32_t>(normalized(dim, lowering.value(input).dims.size())));
  lowering.emit(kind, {input}, std::move(permutation));
}

void cat(Lowering& lowering, const Node& node, NodeKind) {
  std::vector<ValueId> parts;
  for (Value* tensor : node.tensors("tensors")) parts.push_back(lowering.operand(tensor));
  const size_t dim = normalized(node.integer("dim"), lowering.value(parts[0]).dims.size());
  joined(lowering, std::move(parts), dim, true);
}

// Pads are listed from the last dimension on: before, after.
void pad(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const std::vector<int64_t> listed = node.integers("pad");
  const size_t rank = lowering.value(input).dims.size();
  PadAttributes a;
  a.pre.assign(rank, 0);
  a.post.assign(rank, 0);
  for (size_t i = 0; i + 1 < listed.size() && i / 2 < rank; i += 2) {
    a.pre[rank - 1 - i / 2] = static_cast<uint32_t>(listed[i]);
    a.post[rank - 1 - i / 2] = static_cast<uint32_t>(listed[i + 1]);
  }
  a.value = static_cast<float>(node.number("value"));
  lowering.emit(kind, {input}, std::move(a));
}

}  // namespace intaglio::xnnpack::lower
