// Slices. Steps above one: the sliced dimension becomes [count, step], of which one column is taken.
#include <algorithm>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {
namespace {

struct Range {
  size_t dim = 0;
  int64_t start = 0, count = 0, step = 1;
};

Range range_of(const Lowering& lowering, const Node& node, const std::vector<int64_t>& in) {
  Range range;
  const int64_t dim = node.integer("dim");
  range.dim = static_cast<size_t>(dim < 0 ? dim + static_cast<int64_t>(in.size()) : dim);
  range.start = node.optional_integer("start").value_or(0);
  if (range.start < 0) range.start += in[range.dim];
  range.start = std::clamp<int64_t>(range.start, 0, in[range.dim]);
  range.count = lowering.dims_of(node.output())[range.dim];
  range.step = node.integer("step");
  return range;
}

SliceAttributes one_range(const std::vector<int64_t>& dims, size_t dim, int64_t start, int64_t size) {
  SliceAttributes a;
  a.offsets.assign(dims.size(), 0);
  a.sizes.assign(dims.begin(), dims.end());
  a.offsets[dim] = static_cast<uint32_t>(start);
  a.sizes[dim] = static_cast<uint32_t>(size);
  return a;
}

// Whole steps of the input in `dim`, and which element of each step is wanted. Zeros are added behind where the last step is
// cut short.
struct Steps {
  ValueId value;
  int64_t column;
};
Steps whole_steps(Lowering& lowering, ValueId input, const Range& range) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t size = dims[range.dim], length = range.count * range.step;
  if (length == size) return {input, range.start};
  dims[range.dim] = length;
  const ValueId steps = lowering.intermediate(input, dims);
  const int64_t past_last = range.start + (range.count - 1) * range.step + 1;
  if (range.start + length <= size || past_last >= length) {
    const int64_t start = range.start + length <= size ? range.start : past_last - length;
    SliceAttributes a = one_range(dims, range.dim, start, length);
    lowering.emit_to(steps, NodeKind::StaticSlice, {input}, std::move(a));
    return {steps, range.start - start};
  }
  PadAttributes pad;
  pad.pre.assign(dims.size(), 0);
  pad.post.assign(dims.size(), 0);
  pad.post[range.dim] = static_cast<uint32_t>(length - size);
  lowering.emit_to(steps, NodeKind::StaticConstantPad, {input}, std::move(pad));
  return {steps, range.start};
}

void strided(Lowering& lowering, const Node& node, ValueId input, const Range& range) {
  const Steps steps = whole_steps(lowering, input, range);
  // [outer, count, step, inner]
  const std::vector<int64_t> dims = lowering.value(steps.value).dims;
  std::vector<int64_t> split = {1, range.count, range.step, 1};
  for (size_t i = 0; i < range.dim; ++i) split[0] *= dims[i];
  for (size_t i = range.dim + 1; i < dims.size(); ++i) split[3] *= dims[i];
  const ValueId table = lowering.intermediate(input, split);
  lowering.emit_to(table, NodeKind::StaticReshape, {steps.value}, DimsAttributes{{split.begin(), split.end()}});
  std::vector<int64_t> taken = split;
  taken[2] = 1;
  const ValueId column = lowering.intermediate(input, taken);
  lowering.emit_to(column, NodeKind::StaticSlice, {table}, one_range(split, 2, steps.column, 1));
  lowering.emit(NodeKind::StaticReshape, {column}, reshape_attributes(*node.output()));
}

}  // namespace

void slice(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const Range range = range_of(lowering, node, dims);
  if (range.step != 1) return strided(lowering, node, input, range);
  SliceAttributes a = one_range(dims, range.dim, range.start, range.count);
  // A symbolic size is taken whole.
  for (size_t i = 0; i < dims.size(); ++i)
    if (!node.output()->sizes()[i].is_static()) a.sizes[i] = 0;
  lowering.emit(kind, {input}, std::move(a));
}

}  // namespace intaglio::xnnpack::lower
