// Pooling, resizing and ops that move data.
#include <algorithm>

#include <fmt/format.h>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {
namespace {

int64_t normalized(int64_t dim, size_t rank) { return dim < 0 ? dim + static_cast<int64_t>(rank) : dim; }

// One number stands for both dimensions.
std::vector<int64_t> pair_of(std::vector<int64_t> list) {
  if (list.size() == 1) list.push_back(list[0]);
  return list;
}

PoolingAttributes window_of(const Node& node) {
  const auto kernel = pair_of(node.integers("kernel_size")), padding = pair_of(node.integers("padding"));
  auto stride = pair_of(node.integers("stride"));
  if (stride.empty()) stride = kernel;
  PoolingAttributes a;
  a.pooling_height = static_cast<uint32_t>(kernel[0]);
  a.pooling_width = static_cast<uint32_t>(kernel[1]);
  a.stride_height = static_cast<uint32_t>(stride[0]);
  a.stride_width = static_cast<uint32_t>(stride[1]);
  a.padding_top = a.padding_bottom = static_cast<uint32_t>(padding[0]);
  a.padding_left = a.padding_right = static_cast<uint32_t>(padding[1]);
  return a;
}

// What to add to the padding behind so that rounding down gives the size that ceil_mode asks for.
uint32_t extra_for_ceil(int64_t input, int64_t output, int64_t kernel, int64_t stride, int64_t dilation, int64_t padding) {
  const int64_t needed = (output - 1) * stride + dilation * (kernel - 1) + 1;
  return static_cast<uint32_t>(std::max<int64_t>(0, needed - (input + 2 * padding)));
}

}  // namespace

// The runtime divides by the elements that are no padding: where padding counts, or the divisor is given, zeros are put around
// the image first. A divisor of one's own is made up for behind.
void avg_pool(Lowering& lowering, const Node& node, NodeKind kind) {
  ValueId input = lowering.operand("self");
  PoolingAttributes a = window_of(node);
  const bool counted = node.boolean("count_include_pad") || node.optional_integer("divisor_override");
  if (counted && (a.padding_top | a.padding_left) != 0) {
    PadAttributes pad;
    pad.pre = pad.post = {0, 0, a.padding_top, a.padding_left};
    std::vector<int64_t> dims = lowering.value(input).dims;
    dims[2] += 2 * a.padding_top;
    dims[3] += 2 * a.padding_left;
    input = lowering.compute(NodeKind::StaticConstantPad, {input}, std::move(pad), std::move(dims));
    a.padding_top = a.padding_bottom = a.padding_left = a.padding_right = 0;
  }
  const auto area = static_cast<double>(a.pooling_height) * a.pooling_width;
  const auto divisor = static_cast<double>(node.optional_integer("divisor_override").value_or(static_cast<int64_t>(area)));
  if (divisor == area) {
    lowering.emit(kind, {input}, a, flags::keep_dims);
    return;
  }
  const ValueId pooled = lowering.compute(kind, {input}, a, lowering.dims_of(node.output()), flags::keep_dims);
  lowering.emit(NodeKind::Multiply, {pooled, lowering.number(static_cast<float>(area / divisor), pooled)});
}

void max_pool(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId input = lowering.operand("self");
  PoolingAttributes a = window_of(node);
  const auto dilation = pair_of(node.integers("dilation"));
  a.dilation_height = static_cast<uint32_t>(dilation[0]);
  a.dilation_width = static_cast<uint32_t>(dilation[1]);
  if (node.boolean("ceil_mode")) {
    const auto& in = lowering.value(input).dims;
    const std::vector<int64_t> out = lowering.dims_of(node.output());
    a.padding_bottom += extra_for_ceil(in[2], out[2], a.pooling_height, a.stride_height, dilation[0], a.padding_top);
    a.padding_right += extra_for_ceil(in[3], out[3], a.pooling_width, a.stride_width, dilation[1], a.padding_left);
  }
  lowering.emit(kind, {input}, a, flags::keep_dims);
}

void upsample(Lowering& lowering, const Node& node, NodeKind kind) {
  const std::vector<int64_t> out = lowering.dims_of(node.output());
  lowering.emit(kind, {lowering.operand("input")}, ResizeAttributes{static_cast<uint32_t>(out[2]), static_cast<uint32_t>(out[3])},
                node.boolean("align_corners") ? flags::align_corners : 0);
}

// By whole factors: elements of [N, H, 1, W, 1, C] are repeated along the ones. In NHWC the transposes are nothing.
void upsample_nearest(Lowering& lowering, const Node& node, NodeKind) {
  const ValueId input = lowering.operand("input");
  const std::vector<int64_t> in = lowering.value(input).dims, out = lowering.dims_of(node.output());
  const int64_t vertical = out[2] / in[2], horizontal = out[3] / in[3];
  const ValueId rows = lowering.reshaped(lowering.transposed(input, {0, 2, 3, 1}), {in[0], in[2], 1, in[3], 1, in[1]});
  Tensor ones = Tensor::empty(DType::float32, {1, 1, vertical, 1, horizontal, 1});
  std::fill_n(ones.mutable_data<float>(), ones.numel(), 1.0f);
  const ValueId repeated = lowering.compute(NodeKind::Multiply, {rows, lowering.float_constant(ones, "repeat", input)}, {},
                                            std::vector<int64_t>{in[0], in[2], vertical, in[3], horizontal, in[1]});
  const ValueId image = lowering.reshaped(repeated, {out[0], out[2], out[3], out[1]});
  lowering.emit(NodeKind::StaticTranspose, {image}, DimsAttributes{{0, 3, 1, 2}});
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

// At most five operands a node: longer lists go on with the result so far in front.
void cat(Lowering& lowering, const Node& node, NodeKind) {
  constexpr NodeKind by_count[] = {NodeKind::none,         NodeKind::none,         NodeKind::Concatenate2,
                                   NodeKind::Concatenate3, NodeKind::Concatenate4, NodeKind::Concatenate5};
  constexpr size_t most = 5;
  std::vector<ValueId> rest;
  for (Value* tensor : node.tensors("tensors")) rest.push_back(lowering.operand(tensor));
  if (rest.size() == 1) return lowering.alias(rest[0]);
  const auto dim = static_cast<size_t>(normalized(node.integer("dim"), lowering.value(rest[0]).dims.size()));
  const ConcatenateAttributes axis{static_cast<uint32_t>(dim)};
  while (rest.size() > most) {
    const std::vector<ValueId> first(rest.begin(), rest.begin() + most);
    std::vector<int64_t> dims = lowering.value(first[0]).dims;
    dims[dim] = 0;
    for (const ValueId id : first) dims[dim] += lowering.value(id).dims[dim];
    const ValueId joined = lowering.intermediate(first[0], dims);
    lowering.emit_to(joined, NodeKind::Concatenate5, first, axis);
    rest.erase(rest.begin(), rest.begin() + most);
    rest.insert(rest.begin(), joined);
  }
  const NodeKind kind = by_count[rest.size()];
  lowering.emit(kind, std::move(rest), axis);
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
