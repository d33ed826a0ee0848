// Unary and binary ops, activations, softmax.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {

void unary(Lowering& lowering, const Node& node, NodeKind kind) { lowering.emit(kind, {lowering.operand(node.inputs().front())}); }

// Both operands may be the same value, so they are read by name and not from inputs().
void binary(Lowering& lowering, const Node&, NodeKind kind) {
  const ValueId left = lowering.operand("self");
  const ValueId right = lowering.operand("other");
  lowering.emit(kind, {left, right});
}

// self + alpha * other; the product with a constant is a constant.
void add_or_subtract(Lowering& lowering, const Node& node, NodeKind kind) {
  const auto alpha = static_cast<float>(node.number("alpha"));
  if (alpha == 1) return binary(lowering, node, kind);
  const ValueId left = lowering.operand("self");
  if (const auto other = lowering.facts().constant_value(node.tensor("other"))) {
    Tensor scaled = converted(*other, DType::float32).contiguous();
    for (int64_t i = 0; i < scaled.numel(); ++i) scaled.mutable_data<float>()[i] *= alpha;
    lowering.emit(kind, {left, lowering.float_constant(scaled, node.tensor("other")->name(), left)});
    return;
  }
  const ValueId right = lowering.operand("other");
  lowering.emit(kind, {left, lowering.compute(NodeKind::Multiply, {right, lowering.number(alpha, right)})});
}

void binary_scalar(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId left = lowering.operand("self");
  const double factor = node.find("alpha") ? node.number("alpha") : 1;
  lowering.emit(kind, {left, lowering.number(static_cast<float>(node.number("other") * factor), left)});
}

void clamp(Lowering& lowering, const Node& node, NodeKind kind) {
  const qdq::Bounds bounds = *qdq::clamp_bounds(node);
  const ValueId input = lowering.operand("self");
  PayloadNode& clamped = lowering.emit_to(lowering.result(), kind, {input});
  clamped.output_min = bounds.min;
  clamped.output_max = bounds.max;
}

// scale * max(0, x) + scale * alpha * (exp(input_scale * min(0, x)) - 1): the node has alpha only.
void elu(Lowering& lowering, const Node& node, NodeKind kind) {
  const auto alpha = static_cast<float>(node.number("alpha")), inner = static_cast<float>(node.number("input_scale"));
  const float outer = static_cast<float>(node.number("scale")) / inner;
  ValueId x = lowering.operand("self");
  if (inner != 1) x = lowering.compute(NodeKind::Multiply, {x, lowering.number(inner, x)});
  if (outer == 1) return lowering.emit(kind, {x}, ScalarAttributes{alpha * inner});
  const ValueId curved = lowering.compute(kind, {x}, ScalarAttributes{alpha * inner});
  lowering.emit(NodeKind::Multiply, {curved, lowering.number(outer, x)});
}

void leaky_relu(Lowering& lowering, const Node& node, NodeKind kind) {
  lowering.emit(kind, {lowering.operand("self")}, ScalarAttributes{static_cast<float>(node.number("negative_slope"))});
}

void prelu(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const Tensor weight = *lowering.facts().constant_value(node.tensor("weight"));
  // One weight for all channels is repeated: the kernel wants one each.
  const int64_t channels = lowering.value(input).dims[1];
  Tensor slopes = Tensor::empty(DType::float32, {channels});
  const Tensor given = converted(weight, DType::float32).contiguous();
  for (int64_t c = 0; c < channels; ++c) slopes.mutable_data<float>()[c] = given.data<float>()[given.numel() == 1 ? 0 : c];
  // The kernel wants them in the type of what they multiply.
  lowering.emit(kind, {input, lowering.float_constant(slopes, node.tensor("weight")->name(), input)});
}

// The node runs over the innermost dimension; another one changes places with it. The channels of an image come there by the
// transpose that the layout pass cancels against the ones around it.
void softmax(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  const size_t rank = lowering.value(input).dims.size();
  const int64_t written = node.integer("dim");
  const auto dim = static_cast<size_t>(written < 0 ? written + static_cast<int64_t>(rank) : written);
  if (dim + 1 == rank) return lowering.emit(kind, {input});
  std::vector<uint32_t> there(rank), back(rank);
  std::iota(there.begin(), there.end(), 0u);
  std::rotate(there.begin() + static_cast<std::ptrdiff_t>(dim), there.begin() + static_cast<std::ptrdiff_t>(dim) + 1, there.end());
  for (uint32_t i = 0; i < rank; ++i) back[there[i]] = i;
  const ValueId softened = lowering.compute(kind, {lowering.transposed(input, there)});
  lowering.emit(NodeKind::StaticTranspose, {softened}, DimsAttributes{back});
}

void copy(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId input = lowering.operand(node.inputs().front());
  if (lowering.is_int8()) lowering.alias(input);
  else lowering.alias(lowering.cast(input, lowering.type_of(node.output())));
}

// Scale, mean and offset per channel; `fold_batch_norms` makes them part of the weights in front or a convolution.
void batch_norm(Lowering& lowering, const Node& node, NodeKind kind) {
  const auto floats = [&](std::string_view argument) -> std::optional<Tensor> {
    Value* value = node.optional_tensor(argument);
    if (!value) return std::nullopt;
    return converted(*lowering.facts().constant_value(value), DType::float32).contiguous();
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
