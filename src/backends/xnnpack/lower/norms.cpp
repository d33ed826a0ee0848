// Layer, group and batch normalization by the statistics of the input: (x - mean) / sqrt(mean of squares + epsilon) * weight + bias,
// in float32 for half precision too, rounded once.
#include "backends/xnnpack/lower/node_facts.h"
#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::lower {
namespace {

float share_of_one(const Lowering& lowering, ValueId rows) { return 1 / static_cast<float>(lowering.value(rows).dims.back()); }

// Every row without its mean.
ValueId centered_rows(Lowering& lowering, ValueId rows) {
  return lowering.compute(NodeKind::Subtract, {rows, row_sums(lowering, rows, share_of_one(lowering, rows))});
}

ValueId normalized_rows(Lowering& lowering, ValueId rows, double epsilon) {
  const float share = share_of_one(lowering, rows);
  const ValueId centered = centered_rows(lowering, rows);
  const ValueId squares = lowering.compute(NodeKind::Square, {centered});
  const ValueId variance = row_sums(lowering, squares, share, static_cast<float>(epsilon));
  return lowering.compute(NodeKind::Multiply, {centered, lowering.compute(NodeKind::ReciprocalSquareRoot, {variance})});
}

// Times weight, plus bias, each reshaped to `sizes`.
ValueId affine(Lowering& lowering, const Node& node, ValueId input, const Sizes& sizes) {
  const auto operand = [&](std::string_view argument) -> std::optional<ValueId> {
    Value* value = node.optional_tensor(argument);
    if (!value) return std::nullopt;
    return lowering.constant(converted(*lowering.facts().constant_value(value), DType::float32).contiguous().reshaped(sizes),
                             value->name());
  };
  if (const auto weight = operand("weight")) input = lowering.compute(NodeKind::Multiply, {input, *weight});
  if (const auto bias = operand("bias")) input = lowering.compute(NodeKind::Add, {input, *bias});
  return input;
}

ValueId widened(Lowering& lowering) { return lowering.cast(lowering.operand("input"), DataType::fp32); }

void finish(Lowering& lowering, const Node& node, ValueId normal) {
  normal = lowering.cast(normal, lowering.type_of(node.output()));
  if (lowering.value(normal).dims == lowering.dims_of(node.output())) lowering.alias(normal);
  else lowering.emit(NodeKind::StaticReshape, {normal}, reshape_attributes(*node.output()));
}

}  // namespace

void layer_norm(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId rows = merged_last(lowering, widened(lowering), node.integers("normalized_shape").size());
  const ValueId normal = normalized_rows(lowering, rows, node.number("eps"));
  finish(lowering, node, affine(lowering, node, normal, {lowering.value(rows).dims.back()}));
}

// Each group's channels of one sample are a row.
void group_norm(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId input = widened(lowering);
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t channels = dims[1], area = product(dims, 2, dims.size() - 2), groups = node.integer("group");
  const ValueId rows = lowering.reshaped(input, {dims[0] * groups, channels / groups * area});
  const ValueId normal = lowering.reshaped(normalized_rows(lowering, rows, node.number("eps")), {dims[0], channels, area});
  finish(lowering, node, affine(lowering, node, normal, {channels, 1}));
}

// Each channel of all samples together is a row.
void batch_statistics_norm(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId input = widened(lowering);
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t batch = dims[0], channels = dims[1], area = product(dims, 2, dims.size() - 2);
  ValueId channel_rows = lowering.reshaped(input, {batch, channels, area});
  if (batch > 1) channel_rows = lowering.transposed(channel_rows, {1, 0, 2});
  ValueId normal = normalized_rows(lowering, lowering.reshaped(channel_rows, {channels, batch * area}), node.number("eps"));
  normal = lowering.reshaped(normal, {channels, batch, area});
  normal = batch > 1 ? lowering.transposed(normal, {1, 0, 2}) : lowering.reshaped(normal, {batch, channels, area});
  finish(lowering, node, affine(lowering, node, normal, {channels, 1}));
}

// Sums of squares of what is left without the mean, for norms that are written out.
void variance(Lowering& lowering, const Node& node, NodeKind) {
  const ReducedRun run = *reduced_run(node);
  ValueId rows = lowering.cast(lowering.operand("self"), DataType::fp32);
  if (!run.is_trailing() || run.count > 1) {
    const std::vector<int64_t> dims = lowering.value(rows).dims;
    const size_t behind = run.first + run.count;
    rows = lowering.reshaped(rows,
                             {product(dims, 0, run.first), product(dims, run.first, run.count), product(dims, behind, run.rank - behind)});
    rows = lowering.transposed(rows, {0, 2, 1});
  }
  const auto count = static_cast<double>(lowering.value(rows).dims.back());
  const ValueId squares = lowering.compute(NodeKind::Square, {centered_rows(lowering, rows)});
  finish(lowering, node, row_sums(lowering, squares, static_cast<float>(1 / (count - correction_of(node)))));
}

}  // namespace intaglio::xnnpack::lower
