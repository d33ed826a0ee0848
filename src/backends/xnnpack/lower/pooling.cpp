// Pooling over windows.
#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "backends/xnnpack/lower/pieces.h"

namespace intaglio::xnnpack::lower {
namespace {

// One number stands for both dimensions.
std::vector<int64_t> pair_of(std::vector<int64_t> list) {
  if (list.size() == 1) list.push_back(list[0]);
  return list;
}

// The windows along one dimension of [N, C, H, W].
struct Axis {
  size_t dim;
  uint32_t &before, &after, &size, &stride, &dilation;
};
std::array<Axis, 2> axes_of(PoolingAttributes& a) {
  return {{{2, a.padding_top, a.padding_bottom, a.pooling_height, a.stride_height, a.dilation_height},
           {3, a.padding_left, a.padding_right, a.pooling_width, a.stride_width, a.dilation_width}}};
}

// A single image is a batch of one.
std::vector<int64_t> as_batch(std::vector<int64_t> dims) {
  if (dims.size() == 3) dims.insert(dims.begin(), 1);
  return dims;
}
std::optional<size_t> symbolic_batch(const Node& node) {
  return node.output()->sizes()[0].is_static() ? std::nullopt : std::optional<size_t>(0);
}

// A pool on its way: the batch it reads, its windows, the sizes of its result.
struct Pool {
  ValueId input;
  PoolingAttributes a;
  std::vector<int64_t> pooled;

  Pool(Lowering& lowering, const Node& node) : input(lowering.operand("self")), pooled(as_batch(lowering.dims_of(node.output()))) {
    input = lowering.reshaped(input, as_batch(lowering.value(input).dims));
    const auto kernel = pair_of(node.integers("kernel_size")), padding = pair_of(node.integers("padding"));
    const auto stride = node.integers("stride").empty() ? kernel : pair_of(node.integers("stride"));
    size_t i = 0;
    for (const Axis& axis : axes_of(a)) {
      axis.size = static_cast<uint32_t>(kernel[i]);
      axis.stride = static_cast<uint32_t>(stride[i]);
      axis.before = axis.after = static_cast<uint32_t>(padding[i++]);
    }
  }
};

// What ceil_mode adds behind an image, so that rounding down gives the size it asks for.
void add_overhang(const Lowering& lowering, const Node& node, Pool& pool) {
  if (!node.boolean("ceil_mode")) return;
  for (const Axis& axis : axes_of(pool.a)) {
    const int64_t dilation = std::max<int64_t>(axis.dilation, 1), last = (pool.pooled[axis.dim] - 1) * axis.stride;
    const int64_t there = lowering.value(pool.input).dims[axis.dim] + axis.before + axis.after;
    axis.after += static_cast<uint32_t>(std::max<int64_t>(0, last + dilation * (axis.size - 1) + 1 - there));
  }
}

// The runtime knows no window with a smaller size than stride: what such windows see is taken out of the image first.
void close_gaps(Lowering& lowering, const Node& node, Pool& pool) {
  for (const Axis& axis : axes_of(pool.a)) {
    if (axis.stride <= axis.size) continue;
    // No maximum is below minus infinity.
    const ValueId around = padded(lowering, pool.input, axis.dim, axis.before, axis.after, -std::numeric_limits<float>::infinity());
    pool.input = seen_by(lowering, around,
                         {.dim = axis.dim,
                          .count = pool.pooled[axis.dim],
                          .size = axis.size,
                          .stride = axis.stride,
                          .dilation = std::max<int64_t>(axis.dilation, 1)},
                         symbolic_batch(node));
    axis.stride = axis.size;
    axis.before = axis.after = 0;
    axis.dilation = std::min<uint32_t>(axis.dilation, 1);
  }
}

// `factor`: of the result.
void finish(Lowering& lowering, const Node& node, NodeKind kind, const Pool& pool, double factor = 1) {
  const bool is_batch = lowering.dims_of(node.output()).size() == 4, pools = pool.a.pooling_height * pool.a.pooling_width > 1;
  if (is_batch && pools && factor == 1) return lowering.emit(kind, {pool.input}, pool.a, flags::keep_dims);
  ValueId value = pools ? lowering.compute(kind, {pool.input}, pool.a, pool.pooled, flags::keep_dims) : pool.input;
  if (factor != 1) value = lowering.compute(NodeKind::Multiply, {value, lowering.number(static_cast<float>(factor), value)});
  if (is_batch) lowering.alias(value);
  else lowering.emit(NodeKind::StaticReshape, {value}, reshape_attributes(*node.output()));
}

// [.., size] to [.., count]: the means of `count` adaptive windows, which may overlap and differ by one in size. Float32.
ValueId window_means(Lowering& lowering, ValueId input, int64_t count) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t size = dims.back();
  if (size == count) return input;
  Tensor weights = Tensor::zeros(DType::float32, {count, size});
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = i * size / count, width = ((i + 1) * size + count - 1) / count - begin;
    std::fill_n(weights.mutable_data<float>() + i * size + begin, width, 1 / static_cast<float>(width));
  }
  dims.back() = count;
  return lowering.compute(NodeKind::FullyConnected, {input, lowering.constant(std::move(weights), "windows"), invalid_id}, {}, dims);
}

}  // namespace

// Of rows, then of columns: an output that does not divide the image. Other ones are plain pools.
void adaptive_avg_pool(Lowering& lowering, const Node& node, NodeKind) {
  ValueId value = lowering.cast(lowering.operand("self"), DataType::fp32);
  const std::vector<int64_t> wanted = pair_of(node.integers("output_size"));
  std::vector<uint32_t> swapped(lowering.value(value).dims.size());
  std::iota(swapped.begin(), swapped.end(), 0);
  std::swap(swapped.back(), swapped[swapped.size() - 2]);
  for (const int64_t count : {wanted[1], wanted[0]}) value = lowering.transposed(window_means(lowering, value, count), swapped);
  lowering.alias(lowering.cast(value, lowering.type_of(node.output())));
}

// The runtime divides by the elements that are no padding: where padding counts, or the divisor is given, zeros are put around
// the image first. What ceil_mode adds never counts. A divisor of one's own is made up for behind.
void avg_pool(Lowering& lowering, const Node& node, NodeKind kind) {
  Pool pool(lowering, node);
  const auto own_divisor = node.optional_integer("divisor_override");
  if (own_divisor) add_overhang(lowering, node, pool);
  if (own_divisor || node.boolean("count_include_pad")) {
    const PoolingAttributes& a = pool.a;
    PadAttributes pad{{0, 0, a.padding_top, a.padding_left}, {0, 0, a.padding_bottom, a.padding_right}};
    std::vector<int64_t> dims = lowering.value(pool.input).dims;
    for (size_t i = 2; i < 4; ++i) dims[i] += pad.pre[i] + pad.post[i];
    if (dims != lowering.value(pool.input).dims)
      pool.input = lowering.compute(NodeKind::StaticConstantPad, {pool.input}, std::move(pad), std::move(dims));
    for (const Axis& axis : axes_of(pool.a)) axis.before = axis.after = 0;
  }
  if (!own_divisor) add_overhang(lowering, node, pool);
  const auto area = static_cast<double>(pool.a.pooling_height) * pool.a.pooling_width;
  if (area == 1) close_gaps(lowering, node, pool);
  finish(lowering, node, kind, pool, own_divisor ? area / static_cast<double>(*own_divisor) : 1);
}

void max_pool(Lowering& lowering, const Node& node, NodeKind kind) {
  Pool pool(lowering, node);
  const auto dilation = pair_of(node.integers("dilation"));
  pool.a.dilation_height = static_cast<uint32_t>(dilation[0]);
  pool.a.dilation_width = static_cast<uint32_t>(dilation[1]);
  add_overhang(lowering, node, pool);
  close_gaps(lowering, node, pool);
  finish(lowering, node, kind, pool);
}

}  // namespace intaglio::xnnpack::lower
