// Unary and binary ops, activations, softmax.
#include <cmath>

#include "backends/xnnpack/gemm_weight.h"
#include "backends/xnnpack/lowering.h"

namespace intaglio::xnnpack::lower {

void unary(Lowering& lowering, const Node& node, NodeKind kind) {
  lowering.emit(kind, {lowering.operand(node.inputs().front())});
}

// Both operands may be the same value, so they are read by name and not from inputs().
void binary(Lowering& lowering, const Node& node, NodeKind kind) {
  const bool is_bmm_like = node.find("mat2") != nullptr;
  const ValueId left = lowering.operand("self");
  const ValueId right = lowering.operand(is_bmm_like ? "mat2" : "other");
  lowering.emit(kind, {left, right});
}

void binary_scalar(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId left = lowering.operand("self");
  Tensor number = Tensor::scalar(static_cast<float>(node.number("other")));
  if (lowering.value(left).type == DataType::fp16) number = converted(number, DType::float16);
  const ValueId right = lowering.constant(number, "other", lowering.value(left).type);
  lowering.emit(kind, {left, right});
}

void clamp(Lowering& lowering, const Node& node, NodeKind kind) {
  const Bounds bounds = *clamp_bounds(node);
  PayloadNode& clamped = lowering.emit(kind, {lowering.operand("self")});
  clamped.output_min = bounds.min;
  clamped.output_max = bounds.max;
}

void elu(Lowering& lowering, const Node& node, NodeKind kind) {
  lowering.emit(kind, {lowering.operand("self")}, ScalarAttributes{static_cast<float>(node.number("alpha"))});
}

void leaky_relu(Lowering& lowering, const Node& node, NodeKind kind) {
  lowering.emit(kind, {lowering.operand("self")}, ScalarAttributes{static_cast<float>(node.number("negative_slope"))});
}

void prelu(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const Tensor weight = *constant_value(lowering.program(), node.tensor("weight"));
  // One weight for all channels is repeated: the kernel wants one each.
  const int64_t channels = lowering.value(input).dims[1];
  Tensor slopes = Tensor::empty(DType::float32, {channels});
  const Tensor given = converted(weight, DType::float32).contiguous();
  for (int64_t c = 0; c < channels; ++c)
    slopes.mutable_data<float>()[c] = given.data<float>()[given.numel() == 1 ? 0 : c];
  lowering.emit(kind, {input, lowering.constant(slopes, node.tensor("weight")->name())});
}

void softmax(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const int64_t rank = static_cast<int64_t>(lowering.value(input).dims.size());
  const int64_t dim = node.integer("dim");
  const bool last = dim == -1 || dim == rank - 1;
  // Softmax runs over the innermost dimension: the channels of an image come there by a transpose, which the layout
  // pass cancels against the ones around it.
  if (last) {
    lowering.emit(kind, {input});
    return;
  }
  const auto& dims = lowering.value(input).dims;
  const std::vector<int64_t> channels_last = {dims[0], dims[2], dims[3], dims[1]};
  const ValueId moved = lowering.intermediate(input, channels_last);
  lowering.emit_to(moved, NodeKind::StaticTranspose, {input}, DimsAttributes{{0, 2, 3, 1}});
  const ValueId softened = lowering.intermediate(input, channels_last);
  lowering.emit_to(softened, kind, {moved});
  lowering.emit(NodeKind::StaticTranspose, {softened}, DimsAttributes{{0, 3, 1, 2}});
}

void identity(Lowering& lowering, const Node& node, NodeKind) { lowering.alias(lowering.operand(node.inputs().front())); }

// Scale, mean and offset per channel; `fold_batch_norms` makes them part of the weights in front or a convolution.
void batch_norm(Lowering& lowering, const Node& node, NodeKind kind) {
  const auto floats = [&](std::string_view argument) -> std::optional<Tensor> {
    Value* value = node.optional_tensor(argument);
    if (!value) return std::nullopt;
    return converted(*constant_value(lowering.program(), value), DType::float32).contiguous();
  };
  const Tensor mean = *floats("running_mean"), variance = *floats("running_var");
  const std::optional<Tensor> weight = floats("weight"), bias = floats("bias");
  const auto epsilon = static_cast<float>(node.number("eps"));
  const auto channels = static_cast<size_t>(mean.numel());
  Tensor factor = Tensor::empty(DType::float32, mean.sizes()), offset = Tensor::zeros(DType::float32, mean.sizes());
  float* factors = factor.mutable_data<float>();
  for (size_t c = 0; c < channels; ++c) {
    factors[c] = 1.0f / std::sqrt(variance.data<float>()[c] + epsilon);
    if (weight) factors[c] *= weight->data<float>()[c];
  }
  if (bias) offset = *bias;
  const ValueId input = lowering.operand("input");
  const std::string layer = node.tensor("running_mean")->name();
  lowering.emit(kind, {input, lowering.constant(factor, layer), lowering.constant(mean, layer), lowering.constant(offset, layer)});
}

}  // namespace intaglio::xnnpack::lower
