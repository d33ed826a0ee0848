// Means, sums and maxima over neighbouring dimensions, and the norms made of them.
//
// Over the last dimensions a mean is a FullyConnected with one row of 1/count, which leaves the dimensions in front as they
// are. Elsewhere the tensor is seen as an NHWC image [outer, run, 1, inner] and pooled over its height.
#include <algorithm>
#include <functional>
#include <numeric>

#include "backends/xnnpack/gemm_weight.h"
#include "backends/xnnpack/lowering.h"
#include "backends/xnnpack/reduced_run.h"

namespace intaglio::xnnpack::lower {
namespace {

int64_t product(const std::vector<int64_t>& dims, size_t first, size_t count) {
  return std::accumulate(dims.begin() + static_cast<std::ptrdiff_t>(first), dims.begin() + static_cast<std::ptrdiff_t>(first + count),
                         int64_t{1}, std::multiplies<>());
}

std::vector<uint32_t> unsigned_dims(const std::vector<int64_t>& dims) { return {dims.begin(), dims.end()}; }

ValueId reshaped(Lowering& lowering, ValueId input, const std::vector<int64_t>& dims) {
  if (lowering.value(input).dims == dims) return input;
  const ValueId output = lowering.intermediate(input, dims);
  lowering.emit_to(output, NodeKind::StaticReshape, {input}, DimsAttributes{unsigned_dims(dims)});
  return output;
}

// The input as an image whose height is the run. In memory this is NHWC [outer, run, 1, inner], the same bytes; the layout
// pass sees that and drops the transpose.
ValueId as_image(Lowering& lowering, ValueId input, const ReducedRun& run) {
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t outer = product(dims, 0, run.first), height = product(dims, run.first, run.count);
  const int64_t inner = product(dims, run.first + run.count, run.rank - run.first - run.count);
  const ValueId rows = reshaped(lowering, input, {outer, height, 1, inner});
  const ValueId image = lowering.intermediate(input, {outer, inner, height, 1});
  lowering.emit_to(image, NodeKind::StaticTranspose, {rows}, DimsAttributes{{0, 3, 1, 2}});
  return image;
}

// [.., count] to [.., 1]: every row's sum times `factor`, plus `offset`.
ValueId weighted_sum(Lowering& lowering, ValueId input, float factor, std::optional<float> offset = std::nullopt) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  Tensor row = Tensor::empty(DType::float32, {1, dims.back()});
  std::ranges::fill(std::span(row.mutable_data<float>(), static_cast<size_t>(row.numel())), factor);
  const ValueId weight = lowering.constant(row, "mean");
  const ValueId bias = offset ? lowering.constant(Tensor::of<float>({*offset}, {1}), "epsilon") : invalid_id;
  dims.back() = 1;
  const ValueId sum = lowering.intermediate(input, dims);
  lowering.emit_to(sum, NodeKind::FullyConnected, {input, weight, bias});
  return sum;
}

// The last `count` dimensions as one.
ValueId merged_last(Lowering& lowering, ValueId input, size_t count) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  if (count == 1) return input;
  const int64_t merged = product(dims, dims.size() - count, count);
  dims.resize(dims.size() - count);
  dims.push_back(merged);
  return reshaped(lowering, input, dims);
}

void finish(Lowering& lowering, const Node& node, ValueId reduced) {
  lowering.emit(NodeKind::StaticReshape, {reduced}, reshape_attributes(*node.output()));
}

ValueId times(Lowering& lowering, ValueId value, float factor) {
  if (factor == 1) return value;
  const ValueId output = lowering.intermediate(value, lowering.value(value).dims);
  Tensor number = Tensor::of<float>({factor}, {1});
  const DataType type = lowering.value(value).type;
  if (type == DataType::fp16) number = converted(number, DType::float16);
  lowering.emit_to(output, NodeKind::Multiply, {value, lowering.constant(number, "count", type)});
  return output;
}

void pool_image(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  if (node.boolean("keepdim")) {
    lowering.emit(kind, {input}, {}, flags::keep_dims);
    return;
  }
  std::vector<int64_t> dims = lowering.value(input).dims;
  dims[2] = dims[3] = 1;
  const ValueId pooled = lowering.intermediate(lowering.result(), dims);
  lowering.emit_to(pooled, kind, {input}, {}, flags::keep_dims);
  finish(lowering, node, pooled);
}

// `total`: the sum, not the mean.
void add_up(Lowering& lowering, const Node& node, bool total) {
  const ReducedRun run = *reduced_run(node);
  const ValueId input = lowering.operand("self");
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const auto count = static_cast<float>(product(dims, run.first, run.count));
  // Sums in float16 would round at every step; pooling adds in float32.
  if (run.is_trailing() && lowering.value(input).type == DataType::fp32) {
    const ValueId rows = merged_last(lowering, input, run.count);
    const ValueId sum = weighted_sum(lowering, rows, total ? 1 : 1 / count);
    if (lowering.dims_of(node.output()) == lowering.value(sum).dims) lowering.alias(sum);
    else finish(lowering, node, sum);
    return;
  }
  const ValueId image = as_image(lowering, input, run);
  std::vector<int64_t> pooled_dims = lowering.value(image).dims;
  pooled_dims[2] = 1;
  const ValueId pooled = lowering.intermediate(lowering.result(), pooled_dims);
  lowering.emit_to(pooled, NodeKind::GlobalAvgPooling2d, {image}, {}, flags::keep_dims);
  finish(lowering, node, total ? times(lowering, pooled, count) : pooled);
}

}  // namespace

void mean(Lowering& lowering, const Node& node, NodeKind kind) {
  const ReducedRun run = *reduced_run(node);
  if (run.rank == 4 && run.first == 2 && run.count == 2) pool_image(lowering, node, kind);
  else add_up(lowering, node, false);
}

void sum(Lowering& lowering, const Node& node, NodeKind) { add_up(lowering, node, true); }

void maximum_of(Lowering& lowering, const Node& node, NodeKind kind) {
  const ReducedRun run = *reduced_run(node);
  const ValueId image = as_image(lowering, lowering.operand("self"), run);
  std::vector<int64_t> dims = lowering.value(image).dims;
  PoolingAttributes window;
  window.pooling_height = window.stride_height = static_cast<uint32_t>(dims[2]);
  window.dilation_height = window.dilation_width = 1;
  dims[2] = 1;
  const ValueId pooled = lowering.intermediate(lowering.result(), dims);
  lowering.emit_to(pooled, kind, {image}, window, flags::keep_dims);
  finish(lowering, node, pooled);
}

// (x - mean) / sqrt(mean of squares + epsilon) * weight + bias.
void layer_norm(Lowering& lowering, const Node& node, NodeKind) {
  const size_t count = node.integers("normalized_shape").size();
  const ValueId input = merged_last(lowering, lowering.operand("input"), count);
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const float share = 1 / static_cast<float>(dims.back());
  const auto add_node = [&](NodeKind kind, std::vector<ValueId> inputs) {
    const ValueId output = lowering.intermediate(inputs[0], lowering.value(inputs[0]).dims);
    lowering.emit_to(output, kind, std::move(inputs));
    return output;
  };
  const auto affine = [&](std::string_view argument) -> std::optional<ValueId> {
    Value* value = node.optional_tensor(argument);
    if (!value) return std::nullopt;
    return lowering.constant(constant_value(lowering.program(), value)->contiguous().reshaped({dims.back()}), value->name());
  };
  const ValueId centered = add_node(NodeKind::Subtract, {input, weighted_sum(lowering, input, share)});
  const ValueId squares = add_node(NodeKind::Square, {centered});
  const ValueId variance = weighted_sum(lowering, squares, share, static_cast<float>(node.number("eps")));
  ValueId normal = add_node(NodeKind::Multiply, {centered, add_node(NodeKind::ReciprocalSquareRoot, {variance})});
  if (const auto weight = affine("weight")) normal = add_node(NodeKind::Multiply, {normal, *weight});
  if (const auto bias = affine("bias")) normal = add_node(NodeKind::Add, {normal, *bias});
  if (count == 1) lowering.alias(normal);
  else finish(lowering, node, normal);
}

}  // namespace intaglio::xnnpack::lower
