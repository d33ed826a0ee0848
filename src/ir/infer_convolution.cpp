// Sliding windows: convolution and pooling.
#include <algorithm>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

// Settings of one spatial dimension.
struct Window {
  int64_t kernel = 1, stride = 1, padding_before = 0, padding_after = 0, dilation = 1, output_padding = 0;
};

int64_t reach(const Window& w) { return w.dilation * (w.kernel - 1) + 1; }

void check(const Inference& in, const Window& w) {
  constexpr int64_t limit = int64_t{1} << 31;
  in.require(w.stride > 0 && w.dilation > 0 && w.kernel > 0, "kernel size, stride and dilation must be positive");
  in.require(w.padding_before >= 0 && w.padding_after >= 0 && w.output_padding >= 0, "the padding is negative");
  const auto largest = std::max({w.kernel, w.stride, w.dilation, w.padding_before, w.padding_after, w.output_padding});
  in.require(largest < limit, "a window setting is out of range");
}

SymInt slid(const Inference& in, const SymInt& size, const Window& w, bool ceil_mode = false) {
  check(in, w);
  if (w.stride == 1 && !size.is_static()) return size + SymInt(w.padding_before + w.padding_after - reach(w) + 1);
  const SymInt span = size + SymInt(w.padding_before + w.padding_after - reach(w));
  in.require(!span.is_static() || span.value() >= 0, "the window is larger than the padded input");
  SymInt count = floor_div(ceil_mode ? span + SymInt(w.stride - 1) : span, w.stride) + SymInt(1);
  // A window that starts in the padding behind the input is dropped.
  if (ceil_mode && count.hint() && size.hint() && (*count.hint() - 1) * w.stride >= *size.hint() + w.padding_before)
    count = count - SymInt(1);
  return count;
}

SymInt transposed(const Inference& in, const SymInt& size, const Window& w) {
  check(in, w);
  return (size - SymInt(1)) * SymInt(w.stride) + SymInt(reach(w) - 2 * w.padding_before + w.output_padding);
}

// A setting of each spatial dimension, as PyTorch takes it: one for all, or one for each.
List<int64_t> settings(const Inference& in, std::string_view argument, size_t spatial) {
  List<int64_t> list = in.node.integers(argument);
  if (list.size() == 1) list.resize(spatial, list[0]);
  in.require(list.size() == spatial, "a list of window settings has the wrong length");
  return list;
}

// Input [N?, C, spatial...], weight [out, in/groups, kernel...] ([in, out/groups, ...] when transposed).
void convolve(Inference& in, bool is_transposed, bool same_padding) {
  const SymSizes &input = in.sizes("input"), &weight = in.sizes("weight");
  in.require(weight.size() >= 3 && (input.size() == weight.size() || input.size() + 1 == weight.size()),
             "input and weight differ in dimensions");
  const size_t spatial = weight.size() - 2, channel = input.size() - spatial - 1;
  const int64_t groups = in.node.integer("groups");
  in.require(groups > 0, "groups must be positive");
  const SymInt channels = is_transposed ? weight[0] : weight[1] * SymInt(groups);
  in.require(!surely_differ(channels, input[channel]), "the weight's channels do not fit the input's");
  const List<int64_t> stride = settings(in, "stride", spatial), dilation = settings(in, "dilation", spatial), none(spatial);
  const List<int64_t> padding = same_padding ? none : settings(in, "padding", spatial);
  const bool is_general = in.node.op().schema()->find("output_padding") != nullptr;
  const List<int64_t> extra = is_general ? settings(in, "output_padding", spatial) : none;

  SymSizes sizes = input.first(channel);
  sizes.push_back(is_transposed ? weight[1] * SymInt(groups) : weight[0]);
  for (size_t i = 0; i < spatial; ++i) {
    in.require(weight[2 + i].is_static(), "the kernel size is symbolic");
    const Window w{weight[2 + i].value(), stride[i], padding[i], padding[i], dilation[i], extra[i]};
    const SymInt& size = input[channel + 1 + i];
    if (same_padding) sizes.push_back(in.node.string("padding") == "same" ? size : slid(in, size, w));
    else sizes.push_back(is_transposed ? transposed(in, size, w) : slid(in, size, w));
    in.require(!sizes.back().is_static() || sizes.back().value() >= 0, "the result has a negative size");
  }
  if (const Value* bias = in.node.optional_tensor("bias"))
    in.require(bias->sizes().size() == 1 && !surely_differ(bias->sizes()[0], sizes[channel]), "the bias does not fit the weight");
  in.result(in.operand("input").dtype, std::move(sizes));
}

void convolution(Inference& in) { convolve(in, in.node.boolean("transposed"), false); }
void conv(Inference& in) { convolve(in, false, false); }
void conv_padding(Inference& in) { convolve(in, false, true); }
void conv_transpose(Inference& in) { convolve(in, true, false); }

SymSizes pooled(Inference& in, size_t spatial) {
  const SymSizes& input = in.sizes("self");
  require_image(in, input, spatial);
  const List<int64_t> kernel = settings(in, "kernel_size", spatial), padding = settings(in, "padding", spatial);
  const List<int64_t> stride = in.node.integers("stride").empty() ? kernel : settings(in, "stride", spatial);
  const bool dilated = in.node.op().schema()->find("dilation") != nullptr;
  const List<int64_t> dilation = dilated ? settings(in, "dilation", spatial) : List<int64_t>(spatial, 1);
  SymSizes sizes = input;
  for (size_t i = 0; i < spatial; ++i) {
    const Window w{kernel[i], stride[i], padding[i], padding[i], dilation[i], 0};
    in.require(w.kernel > 0 && w.padding_before <= w.kernel / 2 + w.kernel % 2, "the padding is more than half the kernel");
    SymInt& size = sizes[sizes.size() - spatial + i];
    size = slid(in, size, w, in.node.boolean("ceil_mode"));
  }
  return sizes;
}
template <size_t spatial, bool with_indices = false>
void pool(Inference& in) {
  const SymSizes sizes = pooled(in, spatial);
  in.result(in.operand("self").dtype, sizes);
  if (with_indices) in.result(DType::int64, sizes);
}

template <size_t spatial, bool with_indices = false>
void adaptive(Inference& in) {
  SymSizes sizes = in.sizes("self");
  require_image(in, sizes, spatial);
  const SymSizes wanted = in.symbols("output_size");
  if (!in.known) return;
  in.require(wanted.size() == spatial || wanted.size() == 1, "output_size has the wrong length");
  for (size_t i = 0; i < spatial; ++i) sizes[sizes.size() - spatial + i] = wanted.size() == 1 ? wanted[0] : wanted[i];
  in.result(in.operand("self").dtype, sizes);
  if (with_indices) in.result(DType::int64, sizes);
}

// The windows' elements side by side: [N?, C * kernel, windows].
void im2col(Inference& in) {
  const SymSizes& input = in.sizes("self");
  require_image(in, input, 2);
  const List<int64_t> kernel = settings(in, "kernel_size", 2), stride = settings(in, "stride", 2);
  const List<int64_t> padding = settings(in, "padding", 2), dilation = settings(in, "dilation", 2);
  SymSizes sizes = input.all_but_last(3);
  SymInt channels = input[input.size() - 3], windows = 1;
  for (size_t i = 0; i < 2; ++i) {
    windows = windows * slid(in, input[input.size() - 2 + i], {kernel[i], stride[i], padding[i], padding[i], dilation[i], 0});
    channels = channels * SymInt(kernel[i]);
  }
  sizes.push_back(channels);
  sizes.push_back(windows);
  in.result(in.operand("self").dtype, std::move(sizes));
}

const Rule convolution_table[] = {
    {convolution, {"aten.convolution.default"}},
    {conv, {"aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default"}},
    {conv_padding, {"aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding"}},
    {conv_transpose, {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input"}},
    {pool<1>, {"aten.max_pool1d.default", "aten.avg_pool1d.default"}},
    {pool<2>, {"aten.max_pool2d.default", "aten.avg_pool2d.default"}},
    {pool<3>, {"aten.max_pool3d.default", "aten.avg_pool3d.default"}},
    {pool<2, true>, {"aten.max_pool2d_with_indices.default"}},
    {pool<3, true>, {"aten.max_pool3d_with_indices.default"}},
    {adaptive<1>, {"aten.adaptive_avg_pool1d.default"}},
    {adaptive<2>, {"aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default"}},
    {adaptive<3>, {"aten.adaptive_avg_pool3d.default"}},
    {adaptive<1, true>, {"aten.adaptive_max_pool1d.default"}},
    {adaptive<2, true>, {"aten.adaptive_max_pool2d.default"}},
    {im2col, {"aten.im2col.default"}},
};

}  // namespace

std::span<const Rule> convolution_rules() { return convolution_table; }

}  // namespace intaglio::infer
