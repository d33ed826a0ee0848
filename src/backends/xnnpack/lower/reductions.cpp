// Means, sums and maxima over neighbouring dimensions.
//
// Over the last dimensions a mean is a FullyConnected with one row of 1/count, which leaves the dimensions in front as they
// are. Elsewhere the tensor is seen as an NHWC image [outer, run, 1, inner] and pooled over its height.
#include "backends/xnnpack/lower/node_facts.h"
#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::lower {
namespace {

// The input as an image whose height is the run. In memory this is NHWC [outer, run, 1, inner], the same bytes; the layout
// pass sees that and drops the transpose.
ValueId as_image(Lowering& lowering, ValueId input, const ReducedRun& run) {
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t outer = product(dims, 0, run.first), height = product(dims, run.first, run.count);
  const int64_t inner = product(dims, run.first + run.count, run.rank - run.first - run.count);
  return lowering.transposed(lowering.reshaped(input, {outer, height, 1, inner}), {0, 3, 1, 2});
}

std::vector<int64_t> pooled_dims(const Lowering& lowering, ValueId image) {
  std::vector<int64_t> dims = lowering.value(image).dims;
  dims[2] = 1;
  return dims;
}

ValueId greatest(Lowering& lowering, ValueId image, NodeKind kind) {
  PoolingAttributes window;
  window.pooling_height = window.stride_height = static_cast<uint32_t>(lowering.value(image).dims[2]);
  window.dilation_height = window.dilation_width = 1;
  return lowering.compute(kind, {image}, window, pooled_dims(lowering, image), flags::keep_dims);
}

void in_result_shape(Lowering& lowering, const Node& node, ValueId reduced) {
  lowering.emit(NodeKind::StaticReshape, {reduced}, reshape_attributes(*node.output()));
}

void pool_image(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  if (node.boolean("keepdim")) return lowering.emit(kind, {input}, {}, flags::keep_dims);
  std::vector<int64_t> dims = lowering.value(input).dims;
  dims[2] = dims[3] = 1;
  const ValueId pooled = lowering.intermediate(lowering.result(), dims);
  lowering.emit_to(pooled, kind, {input}, {}, flags::keep_dims);
  in_result_shape(lowering, node, pooled);
}

// `total`: the sum, not the mean.
void add_up(Lowering& lowering, const Node& node, bool total) {
  const ReducedRun run = *reduced_run(node);
  const ValueId input = lowering.operand("self");
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const auto count = static_cast<float>(product(dims, run.first, run.count));
  if (run.is_trailing() && !lowering.is_int8()) {
    // Sums in float16 would round at every step.
    const DataType type = lowering.value(input).type;
    const ValueId rows = merged_last(lowering, lowering.cast(input, DataType::fp32), run.count);
    const ValueId sum = lowering.cast(row_sums(lowering, rows, total ? 1 : 1 / count), type);
    if (lowering.dims_of(node.output()) == lowering.value(sum).dims) lowering.alias(sum);
    else in_result_shape(lowering, node, sum);
    return;
  }
  const ValueId image = as_image(lowering, input, run);
  const ValueId pooled = lowering.intermediate(lowering.result(), pooled_dims(lowering, image));
  lowering.emit_to(pooled, NodeKind::GlobalAvgPooling2d, {image}, {}, flags::keep_dims);
  const bool scaled = total && count != 1;
  in_result_shape(lowering, node, scaled ? lowering.compute(NodeKind::Multiply, {pooled, lowering.number(count, pooled)}) : pooled);
}

}  // namespace

void mean(Lowering& lowering, const Node& node, NodeKind kind) {
  const ReducedRun run = *reduced_run(node);
  if (run.rank == 4 && run.first == 2 && run.count == 2) pool_image(lowering, node, kind);
  else add_up(lowering, node, false);
}

void sum(Lowering& lowering, const Node& node, NodeKind) { add_up(lowering, node, true); }

void maximum_of(Lowering& lowering, const Node& node, NodeKind kind) {
  in_result_shape(lowering, node, greatest(lowering, as_image(lowering, lowering.operand("self"), *reduced_run(node)), kind));
}

// The least is the greatest of the negated.
void minimum_of(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId image = as_image(lowering, lowering.operand("self"), *reduced_run(node));
  const ValueId least = lowering.compute(NodeKind::Negate, {greatest(lowering, lowering.compute(NodeKind::Negate, {image}), kind)});
  in_result_shape(lowering, node, least);
}

}  // namespace intaglio::xnnpack::lower
