// Convolutions of every form become aten.convolution with full lists.
#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/limits.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

// [C, spatial...] without a batch: one is added around `body`.
template <typename Body>
Value* with_batch(GraphBuilder& b, Value* input, int64_t weight_rank, const Body& body) {
  if (input->meta().rank() == weight_rank) return body(input);
  return b.squeeze(body(b.unsqueeze(input, 0)), 0);
}

// Planes of zeros between the planes [N, D, ..] of a volume.
Value* spread_out(GraphBuilder& b, Value* x, int64_t step) {
  if (step == 1) return x;
  SymSizes sizes = x->sizes();
  const SymInt depth = sizes[1], plane = size_quotient({sizes[2], sizes[3], sizes[4]}, {});
  const SymInt gap = plane * SymInt(step - 1);
  x = b("aten.constant_pad_nd.default", b.view(x, {sizes[0], depth, plane}), Ints{0, gap.value()});
  sizes[1] = depth * SymInt(step);
  return b.slice(b.view(x, sizes), 1, 0, (depth.value() - 1) * step + 1);
}

// A volume is convolved plane by plane, one two-dimensional convolution for each depth of the kernel, and summed: the
// runtime's kernel takes images only. Along the depth a transposed convolution is one with the kernel turned around over
// planes that are spread out by the stride.
Value* convolve_volume(GraphBuilder& b, const Node& n, Value* input, const Ints& padding, bool transposed, const Ints& output_padding) {
  Value *weight = n.tensor("weight"), *bias = n.optional_tensor("bias");
  Ints stride = spread(n.integers("stride"), 3);
  const Ints dilation = spread(n.integers("dilation"), 3), pad = spread(padding, 3), extra = spread(output_padding, 3);
  return with_batch(b, input, 5, [&](Value* x) {
    const int64_t taps = weight->sizes()[2].value(), reach = dilation[0] * (taps - 1) + 1;
    if (!transposed && pad[0] != 0) x = b("aten.constant_pad_nd.default", x, Ints{0, 0, 0, 0, pad[0], pad[0]});
    x = b.permute(x, {0, 2, 1, 3, 4});
    if (!x->sizes()[1].is_static()) refuse(n, "a three-dimensional convolution needs a fixed depth");
    if (transposed) {
      if (!x->sizes()[3].is_static() || !x->sizes()[4].is_static())
        refuse(n, "a transposed three-dimensional convolution needs fixed sizes");
      const int64_t front = reach - 1 - pad[0];
      x = b("aten.constant_pad_nd.default", spread_out(b, x, stride[0]), Ints{0, 0, 0, 0, 0, 0, front, front + extra[0]});
      stride[0] = 1;
    }
    const SymSizes sizes = x->sizes();
    const int64_t depth = (sizes[1].value() - reach) / stride[0] + 1;
    Value* sum = nullptr;
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t start = tap * dilation[0];
      Value* planes = b.slice(x, 1, start, start + (depth - 1) * stride[0] + 1, stride[0]);
      planes = b.view(planes, {sizes[0] * SymInt(depth), sizes[2], sizes[3], sizes[4]});
      Value* part = b.call("aten.convolution.default",
                           {planes, b.select(weight, 2, transposed ? taps - 1 - tap : tap), tap == 0 && bias ? Argument(bias) : Argument(),
                            Ints{stride[1], stride[2]}, Ints{pad[1], pad[2]}, Ints{dilation[1], dilation[2]}, transposed,
                            Ints{extra[1], extra[2]}, n.integer("groups")});
      sum = sum ? b("aten.add.Tensor", sum, part) : part;
    }
    const SymSizes image = sum->sizes();
    return b.permute(b.view(sum, {sizes[0], depth, image[1], image[2], image[3]}), {0, 2, 1, 3, 4});
  });
}

Value* convolve(GraphBuilder& b, const Node& n, Value* input, const Ints& padding, bool transposed, const Ints& output_padding) {
  Value* weight = n.tensor("weight");
  const int64_t rank = weight->meta().rank();
  if (rank == 5) return convolve_volume(b, n, input, padding, transposed, output_padding);
  const size_t spatial = static_cast<size_t>(rank - 2);
  Value* bias = n.optional_tensor("bias");
  const Argument bias_argument = bias ? Argument(bias) : Argument();
  return with_batch(b, input, rank, [&](Value* x) {
    return b.call("aten.convolution.default",
                  {x, weight, bias_argument, spread(n.integers("stride"), spatial), spread(padding, spatial),
                   spread(n.integers("dilation"), spatial), transposed, spread(output_padding, spatial), n.integer("groups")});
  });
}

Values conv(GraphBuilder& b, const Node& n) { return {convolve(b, n, n.tensor("input"), n.integers("padding"), false, {0})}; }
Values conv_transpose(GraphBuilder& b, const Node& n) {
  return {convolve(b, n, n.tensor("input"), n.integers("padding"), true, n.integers("output_padding"))};
}

// Already in the general form; only volumes are left to take apart.
Values convolution(GraphBuilder& b, const Node& n) {
  if (n.tensor("weight")->meta().rank() != 5) return {};
  return {convolve(b, n, n.tensor("input"), n.integers("padding"), n.boolean("transposed"), n.integers("output_padding"))};
}

// "same" pads by the kernel's reach; the odd element goes behind.
Values conv_padding(GraphBuilder& b, const Node& n) {
  const std::string mode = n.string("padding");
  if (mode == "valid") return {convolve(b, n, n.tensor("input"), {0}, false, {0})};
  if (mode != "same") refuse(n, "padding must be 'same' or 'valid'");
  const TensorMeta& weight = n.tensor("weight")->meta();
  const size_t spatial = weight.sizes.size() - 2;
  const Ints dilation = spread(n.integers("dilation"), spatial);
  Ints padding(spatial), extra;
  bool uneven = false;
  for (size_t i = 0; i < spatial; ++i) {
    const int64_t total = dilation[i] * (weight.sizes[2 + i].value() - 1);
    padding[i] = total / 2;
    uneven = uneven || total % 2;
    extra.insert(extra.begin(), {0, total % 2});  // constant_pad_nd counts from the last dimension
  }
  Value* input = n.tensor("input");
  if (uneven) input = b("aten.constant_pad_nd.default", input, extra);
  return {convolve(b, n, input, padding, false, {0})};
}

// ---- windows: convolutions whose weights are one in one place
// [channels * window, 1, rows, columns]
Value* window_weights(GraphBuilder& b, const Node& n, Value* x, int64_t channels, const Ints& window) {
  if (!is_floating(x->dtype())) refuse(n, "there is no kernel for windows of integers");
  written_out(n, DType::float32, {channels, window[0], window[1]});
  const int64_t area = window[0] * window[1];
  Tensor weights = bounded_zeros(n, DType::float32, {channels * area, 1, window[0], window[1]});
  for (int64_t i = 0; i < channels * area; ++i) weights.mutable_data<float>()[i * area + i % area] = 1;
  return b.constant(converted(weights, x->dtype()));
}
Value* window_convolution(GraphBuilder& b, const Node& n, Value* x, int64_t channels, bool transposed, const Ints& output_padding) {
  const Ints window = spread(n.integers("kernel_size"), 2);
  return b.call("aten.convolution.default",
                {x, window_weights(b, n, x, channels, window), Argument(), spread(n.integers("stride"), 2),
                 spread(n.integers("padding"), 2), spread(n.integers("dilation"), 2), transposed, output_padding, channels});
}
// What F.unfold cuts out, as columns.
Values im2col(GraphBuilder& b, const Node& n) {
  Value* x = n.tensor("self");
  const bool single = x->meta().rank() == 3;
  if (single) x = b.unsqueeze(x, 0);
  if (!x->sizes()[1].is_static()) refuse(n, "the number of channels must be fixed");
  return {b.view(window_convolution(b, n, x, x->sizes()[1].value(), false, {0, 0}), n.output()->sizes())};
}
// F.fold: columns back into an image, overlapping elements added.
Values col2im(GraphBuilder& b, const Node& n) {
  Value* x = n.tensor("self");
  const Ints size = n.integers("output_size"), window = spread(n.integers("kernel_size"), 2), stride = spread(n.integers("stride"), 2),
             padding = spread(n.integers("padding"), 2), dilation = spread(n.integers("dilation"), 2);
  const SymSizes& sizes = x->sizes();
  const SymInt &columns = sizes[sizes.size() - 2], batch = sizes.size() == 3 ? sizes[0] : SymInt(1);
  if (!columns.is_static()) refuse(n, "the number of channels must be fixed");
  if (std::ranges::min(window) < 1 || std::ranges::min(stride) < 1)
    throw_bad_input(fmt::format("{}: a window or a stride below 1", describe(n)));
  Ints blocks(2), rest(2);
  for (size_t i = 0; i < 2; ++i) {
    const int64_t room = size[i] + 2 * padding[i] - dilation[i] * (window[i] - 1) - 1;
    blocks[i] = room / stride[i] + 1;
    rest[i] = room % stride[i];
  }
  Value* image = b.view(x, {batch, columns, blocks[0], blocks[1]});
  return {b.view(window_convolution(b, n, image, columns.value() / (window[0] * window[1]), true, rest), n.output()->sizes())};
}

// The form that also says which algorithms of a library may be chosen.
Values convolution_of_a_library(GraphBuilder& b, const Node& n) {
  std::vector<Argument> arguments;
  for (const ArgSchema& argument : Op::get("aten.convolution.default").schema()->arguments) arguments.push_back(n.argument(argument.name));
  return {b.call("aten.convolution.default", std::move(arguments))};
}

const DecompositionRow convolution_rows[] = {
    {convolution_of_a_library, {"aten._convolution.default"}},
    {convolution, {"aten.convolution.default"}},
    {im2col, {"aten.im2col.default"}},
    {col2im, {"aten.col2im.default"}},
    {conv, {"aten.conv1d.default", "aten.conv2d.default", "aten.conv3d.default"}},
    {conv_padding, {"aten.conv1d.padding", "aten.conv2d.padding", "aten.conv3d.padding"}},
    {conv_transpose, {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input"}},
};

}  // namespace

std::span<const DecompositionRow> convolution_decompositions() { return convolution_rows; }

}  // namespace intaglio::decompose
