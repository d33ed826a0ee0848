// Pooling over windows.
#include <algorithm>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {
namespace {

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

// What ceil_mode adds behind an image.
struct Overhang {
  uint32_t bottom = 0, right = 0;
};

// What to add to the padding behind so that rounding down gives the size that ceil_mode asks for.
uint32_t extra_for_ceil(int64_t input, int64_t output, int64_t kernel, int64_t stride, int64_t dilation, int64_t padding) {
  const int64_t needed = (output - 1) * stride + dilation * (kernel - 1) + 1;
  return static_cast<uint32_t>(std::max<int64_t>(0, needed - (input + 2 * padding)));
}

Overhang overhang_of(const Lowering& lowering, const Node& node, ValueId input, const PoolingAttributes& a, int64_t vertical_dilation = 1,
                     int64_t horizontal_dilation = 1) {
  if (!node.boolean("ceil_mode")) return {};
  const auto& in = lowering.value(input).dims;
  const std::vector<int64_t> out = lowering.dims_of(node.output());
  return {extra_for_ceil(in[2], out[2], a.pooling_height, a.stride_height, vertical_dilation, a.padding_top),
          extra_for_ceil(in[3], out[3], a.pooling_width, a.stride_width, horizontal_dilation, a.padding_left)};
}

ValueId padded_with_zeros(Lowering& lowering, ValueId input, const PoolingAttributes& a) {
  PadAttributes pad;
  pad.pre = {0, 0, a.padding_top, a.padding_left};
  pad.post = {0, 0, a.padding_bottom, a.padding_right};
  std::vector<int64_t> dims = lowering.value(input).dims;
  dims[2] += a.padding_top + a.padding_bottom;
  dims[3] += a.padding_left + a.padding_right;
  return lowering.compute(NodeKind::StaticConstantPad, {input}, std::move(pad), std::move(dims));
}

// Of every `stride` elements in a dimension the first `window`: what windows further apart than they are wide see.
ValueId seen_by_windows(Lowering& lowering, ValueId input, size_t dim, int64_t count, int64_t window, int64_t stride) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t length = count * stride;
  if (length > dims[dim]) {  // behind the last window stands too little: zeros that no window sees
    PadAttributes pad;
    pad.pre.assign(dims.size(), 0);
    pad.post.assign(dims.size(), 0);
    pad.post[dim] = static_cast<uint32_t>(length - dims[dim]);
    dims[dim] = length;
    input = lowering.compute(NodeKind::StaticConstantPad, {input}, std::move(pad), dims);
  }
  const auto first_of = [&](ValueId value, size_t at, int64_t size) {
    std::vector<int64_t> taken = lowering.value(value).dims;
    if (taken[at] == size) return value;
    taken[at] = size;
    SliceAttributes slice{std::vector<uint32_t>(taken.size(), 0), {taken.begin(), taken.end()}};
    return lowering.compute(NodeKind::StaticSlice, {value}, std::move(slice), std::move(taken));
  };
  input = first_of(input, dim, length);
  dims[dim] = count * window;
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < dims.size(); ++i)
    if (i != dim) (i < dim ? outer : inner) *= dims[i];
  return lowering.reshaped(first_of(lowering.reshaped(input, {outer, count, stride, inner}), 2, window), dims);
}

}  // namespace

// The runtime divides by the elements that are no padding: where padding counts, or the divisor is given, zeros are put around
// the image first. What ceil_mode adds never counts. A divisor of one's own is made up for behind.
void avg_pool(Lowering& lowering, const Node& node, NodeKind kind) {
  ValueId input = lowering.operand("self");
  PoolingAttributes a = window_of(node);
  const Overhang overhang = overhang_of(lowering, node, input, a);
  const auto own_divisor = node.optional_integer("divisor_override");
  const auto widen = [&] {
    a.padding_bottom += overhang.bottom;
    a.padding_right += overhang.right;
  };
  if (own_divisor) widen();
  const bool counted = node.boolean("count_include_pad") || own_divisor;
  if (counted && (a.padding_top | a.padding_left | a.padding_bottom | a.padding_right) != 0) {
    input = padded_with_zeros(lowering, input, a);
    a.padding_top = a.padding_bottom = a.padding_left = a.padding_right = 0;
  }
  if (!own_divisor) widen();
  const auto area = static_cast<double>(a.pooling_height) * a.pooling_width;
  const auto divisor = static_cast<double>(own_divisor.value_or(static_cast<int64_t>(area)));
  if (divisor == area) {
    lowering.emit(kind, {input}, a, flags::keep_dims);
    return;
  }
  const ValueId pooled = lowering.compute(kind, {input}, a, lowering.dims_of(node.output()), flags::keep_dims);
  lowering.emit(NodeKind::Multiply, {pooled, lowering.number(static_cast<float>(area / divisor), pooled)});
}

void max_pool(Lowering& lowering, const Node& node, NodeKind kind) {
  ValueId input = lowering.operand("self");
  PoolingAttributes a = window_of(node);
  const auto dilation = pair_of(node.integers("dilation"));
  a.dilation_height = static_cast<uint32_t>(dilation[0]);
  a.dilation_width = static_cast<uint32_t>(dilation[1]);
  const Overhang overhang = overhang_of(lowering, node, input, a, dilation[0], dilation[1]);
  a.padding_bottom += overhang.bottom;
  a.padding_right += overhang.right;
  const std::vector<int64_t> out = lowering.dims_of(node.output());
  if (a.stride_height > a.pooling_height) {
    input = seen_by_windows(lowering, input, 2, out[2], a.pooling_height, a.stride_height);
    a.stride_height = a.pooling_height;
  }
  if (a.stride_width > a.pooling_width) {
    input = seen_by_windows(lowering, input, 3, out[3], a.pooling_width, a.stride_width);
    a.stride_width = a.pooling_width;
  }
  lowering.emit(kind, {input}, a, flags::keep_dims);
}

}  // namespace intaglio::xnnpack::lower
