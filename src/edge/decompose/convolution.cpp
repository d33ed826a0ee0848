// Convolutions of every form become aten.convolution with full lists.
#include <intaglio/error.h>

#include "edge/decompose/tables.h"

namespace intaglio {
namespace {

// [C, spatial...] without a batch: one is added around `body`.
template <typename Body> Value* with_batch(GraphBuilder& b, Value* input, int64_t weight_rank, const Body& body) {
  if (input->meta().rank() == weight_rank) return body(input);
  return b.squeeze(body(b.unsqueeze(input, 0)), 0);
}

Value* convolve(GraphBuilder& b, const Node& n, Value* input, const Ints& padding, bool transposed, const Ints& output_padding) {
  Value* weight = n.tensor("weight");
  const int64_t rank = weight->meta().rank();
  if (rank > 4) refuse(n, "there is no kernel for three-dimensional convolutions");
  const size_t spatial = static_cast<size_t>(rank - 2);
  Value* bias = n.optional_tensor("bias");
  const Argument bias_argument = bias ? Argument(bias) : Argument();
  return with_batch(b, input, rank, [&](Value* x) {
    return b.call("aten.convolution.default", {x, weight, bias_argument, spread(n.integers("stride"), spatial), spread(padding, spatial),
                                               spread(n.integers("dilation"), spatial), transposed, spread(output_padding, spatial),
                                               n.integer("groups")});
  });
}

Values conv(GraphBuilder& b, const Node& n) { return {convolve(b, n, n.tensor("input"), n.integers("padding"), false, {0})}; }
Values conv_transpose(GraphBuilder& b, const Node& n) {
  return {convolve(b, n, n.tensor("input"), n.integers("padding"), true, n.integers("output_padding"))};
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

constexpr DecompositionRow rows[] = {
    {"aten.conv1d.default", conv},
    {"aten.conv2d.default", conv},
    {"aten.conv3d.default", conv},
    {"aten.conv1d.padding", conv_padding},
    {"aten.conv2d.padding", conv_padding},
    {"aten.conv3d.padding", conv_padding},
    {"aten.conv_transpose1d.default", conv_transpose},
    {"aten.conv_transpose2d.input", conv_transpose},
    {"aten.conv_transpose3d.input", conv_transpose},
};

}  // namespace

std::span<const DecompositionRow> convolution_decompositions() { return rows; }

}  // namespace intaglio
