// Rewrites of a payload graph. `preprocess.cpp` lists them in order and says why; each has a
// `.test` file of its name beside it.
#pragma once

#include "backends/xnnpack/features.h"
#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

// Batch norms go into the weights of the convolution or linear in front; others become 1x1 depthwise convolutions, or a
// multiply and an add where the input is no image. None is left.
void fold_batch_norms(PayloadGraph& graph);

// A Clamp whose input is made for it alone becomes the output bounds of the node that makes it. Int8 values only where
// both sides have equal parameters, so that the result is the same.
void fuse_activations(PayloadGraph& graph, const Features& features);

// Zero padding of images becomes the padding of the convolutions behind it, also through a Convert to int8 (zero is the
// zero point there). The padding node goes when no other node reads it.
void fold_pads(PayloadGraph& graph);

// Reshapes that undo each other go, also around elementwise nodes: what 1-d convolutions leave between them.
void cancel_reshapes(PayloadGraph& graph);

// The second operand of a matrix product whose last two dimensions a transpose exchanges is read as it lies: a language model's keys
// are not copied for every token.
void fold_transposes(PayloadGraph& graph);

// Decides for every image whether it lies as NCHW or NHWC, inserts the transposes this needs, once per value and layout,
// and rewrites axes, slices and pads of nodes that work in NHWC. Inputs and outputs lie as their `layout` says.
void assign_layouts(PayloadGraph& graph, const Features& features);

// Nodes whose results nobody reads, and values that nobody refers to.
void remove_unused(PayloadGraph& graph);

// Chains of elementwise nodes from int8 to int8 that the runtime's compiler has no room for get a copy in their middle.
void break_long_chains(PayloadGraph& graph);

// Of a transpose that leaves the dimensions in their order.
DimsAttributes order_as_it_is(const PayloadValue& value);

// Copies become transposes that leave the order as it is, which every runtime has.
void replace_copies(PayloadGraph& graph);

// Which nodes read a value, by index into graph.nodes; the graph's outputs count as one more reader.
class Readers {
 public:
  explicit Readers(const PayloadGraph& graph);
  // A value that was added since has none.
  size_t count(ValueId value) const { return value < nodes_.size() ? nodes_[value].size() + outputs_[value] : 0; }
  const std::vector<size_t>& nodes(ValueId value) const { return nodes_[value]; }
  bool is_output(ValueId value) const { return outputs_[value] != 0; }

 private:
  std::vector<std::vector<size_t>> nodes_;
  std::vector<size_t> outputs_;
};
// The node that makes each value; npos for inputs and constants.
std::vector<size_t> producers(const PayloadGraph& graph);
inline constexpr size_t no_node = static_cast<size_t>(-1);

}  // namespace intaglio::xnnpack
