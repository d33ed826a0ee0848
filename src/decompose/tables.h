// Inside of decompose.h: rows of op and function by family.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "decompose/builder.h"

namespace intaglio::decompose {

// Builds the replacement of a node and returns one value per result (null: a result nobody may use); empty when the
// node is fine as it is.
using Values = List<Value*>;
using Decomposition = Values (*)(GraphBuilder&, const Node&);
struct DecompositionRow {
  Decomposition function;
  std::initializer_list<std::string_view> ops;
};

std::span<const DecompositionRow> activation_decompositions();
// Ops that are another op under another name, with the same arguments in the same order, and what writes that op.
struct Alias {
  std::string_view op, meant;
};
std::span<const Alias> aliases();
Values renamed(GraphBuilder& b, const Node& n);
std::span<const DecompositionRow> arithmetic_decompositions();
std::span<const DecompositionRow> attention_decompositions();
std::span<const DecompositionRow> composite_decompositions();
std::span<const DecompositionRow> convolution_decompositions();
std::span<const DecompositionRow> copy_decompositions();
std::span<const DecompositionRow> creation_decompositions();
std::span<const DecompositionRow> einsum_decompositions();
std::span<const DecompositionRow> embedding_decompositions();
std::span<const DecompositionRow> encoder_layer_decompositions();
std::span<const DecompositionRow> expert_decompositions();
std::span<const DecompositionRow> function_decompositions();
std::span<const DecompositionRow> indexing_decompositions();
std::span<const DecompositionRow> loss_decompositions();
std::span<const DecompositionRow> matrix_decompositions();
std::span<const DecompositionRow> normalization_decompositions();
std::span<const DecompositionRow> pooling_decompositions();
std::span<const DecompositionRow> quantized_decompositions();
std::span<const DecompositionRow> random_decompositions();
std::span<const DecompositionRow> recurrent_decompositions();
std::span<const DecompositionRow> reduction_decompositions();
std::span<const DecompositionRow> resampling_decompositions();
std::span<const DecompositionRow> symbol_decompositions();
std::span<const DecompositionRow> view_decompositions();

// ---- shared by families
using Ints = List<int64_t>;

inline Value* self(const Node& node) { return node.tensor("self"); }
// A dimension argument made non-negative.
int64_t dim_of(const Node& node, std::string_view argument, int64_t rank);
// `stride`-like lists repeated to the spatial rank.
Ints spread(Ints list, size_t count);
// An operand in an element type, the result's by default: a tensor is cast, a number made one, so that nothing is cast when the
// program runs.
Value* operand(GraphBuilder& build, const Node& node, std::string_view argument, DType dtype);
Value* operand(GraphBuilder& build, const Node& node, std::string_view argument);
// Of where(every key is minus infinity, 0, softmax), how PyTorch itself decomposes a safe softmax, what becomes of that op here;
// nothing of any other choice.
Values written_safe_softmax(GraphBuilder& b, const Node& n);
// x log y, or x log(1 + y), as the operator says; 0 where x is 0 and y a number.
Value* x_log(GraphBuilder& b, std::string_view logarithm, Value* x, Value* y);
[[noreturn]] void refuse(const Node& node, std::string_view why);

}  // namespace intaglio::decompose
