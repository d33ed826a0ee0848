// What a node's results look like, from its operands' metadata: PyTorch's rules for sizes and element types.
//
// Used to give nodes that passes create their metadata, and to check what an archive claims about its tensors.
// Results are always described as contiguous: strides say nothing about values, and lowering makes every tensor row-major.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio {

// One description per output of the node (outputs that are no tensors get an unused one). nullopt when there is no rule
// for the op or when the sizes depend on data. A bad-input error naming the node when the operands do not fit the op.
std::optional<std::vector<TensorMeta>> infer_outputs(const Node& node);
// The operators that have a rule of their own, by name.
std::vector<std::string_view> inferred_operators();
// Whether there is a rule; what it gives may depend on symbolic sizes or data all the same.
bool has_inference_rule(Op op);

// How many results the op's list return holds for these arguments (split, chunk, unbind); nullopt when not known.
std::optional<size_t> infer_list_length(const Node& node);

// Gives the node's tensor outputs their inferred metadata; false (and nothing changed) without a rule.
bool refresh_metadata(Node& node);
// The same for all nodes in order, sub-graphs excepted.
void refresh_metadata(Graph& graph);

// A bad-input error where what the file says of a node's result and what its operands make it cannot both be right.
void check_claim(const Value& output, const TensorMeta& inferred);
// Compares what the graph says of every node's results with what its operands imply: a bad-input error naming the node
// and both shapes. Strides are not compared; a symbolic size is compared by its hint.
void check_metadata(const Graph& graph);
// Checks the same, and where both name one size of the exported call but a claim has a number for a symbol or another symbol, the operands
// decide: memory is planned for the largest sizes, and a view is as large as what it is a view of.
void settle_metadata(Graph& graph);

// ---- element types

// How an operand takes part in type promotion: tensors with dimensions outrank 0-d tensors, which outrank numbers.
enum class PromotionRank : uint8_t { number, zero_dim, tensor };
struct PromotionOperand {
  DType dtype;
  PromotionRank rank;
};
// torch.result_type of the operands; a bug error when there are none.
DType result_type(std::span<const PromotionOperand> operands);
// The operand a written argument is: a tensor by its metadata, a number by its Python type; nullopt for anything else.
std::optional<PromotionOperand> promotion_operand(const Argument& argument);

// ---- sizes

// The sizes of two operands broadcast together; nullopt when they do not fit.
std::optional<SymSizes> broadcast_sizes(const SymSizes& a, const SymSizes& b);
// Product of sizes.
SymInt size_product(std::span<const SymInt> sizes);
// The product of `numerator` divided by that of `denominator`; equal factors cancel before anything symbolic is divided.
SymInt size_quotient(const SymSizes& numerator, const SymSizes& denominator);
// A list-of-sizes argument, symbols resolved to their expressions; nullopt when one has none.
std::optional<SymSizes> symbolic_sizes(const Argument& argument);

}  // namespace intaglio
