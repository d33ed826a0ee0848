// Passes over a program before it is prepared, and what they ask of it. Each stands in a file of its name.
#pragma once

#include <unordered_set>
#include <vector>

#include <intaglio/graph.h>
#include <intaglio/program.h>
#include <intaglio/pt2e.h>

#include "interpreter/constant_values.h"

namespace intaglio::pt2e {

// How long a result is that depends on the values of a tensor (repeats by counts, the places of a mask), where that tensor is a
// constant: its symbol gets this one value as its range, and layers behind it have sizes with an upper bound.
//
// Needs: nothing. Guarantees: nothing else changes. Shown by bound_lengths.test.
void bound_lengths(ExportedProgram& program);

// Programs in float16 or bfloat16, for quantizers whose integer kernels stand beside float32 alone.
//
// Every tensor of one of the `types` becomes float32: weights, buffers, what is computed, types that arguments state, sub-graphs
// too. Inputs and outputs of the program keep theirs, with a cast behind or before them; tables of embeddings keep theirs too,
// since they would only grow. Casts that are none any more go. False when the program has no such tensor.
// An unsupported error, before anything is changed, names a node that reads such a tensor's bits, or an input that is written in place.
bool compute_in_float32(ExportedProgram& program, const std::vector<DType>& types);
// True for operators that make another type of their operand.
bool is_cast(const Node& node);

// Batch normalisation in evaluation mode is an affine map for each channel; when it follows a convolution or a linear
// layer, its factors go into that layer's weight and bias and the node disappears.
//
// Matches `aten.batch_norm.default` and `aten._native_batch_norm_legit_no_training.default` whose input is conv1d/2d/3d,
// conv_transpose1d/2d/3d, the convolution of the edge dialect, or linear on rank-2 inputs. Weights are float; float32 results have the bits
// torchao computes. Afterwards the folded weights stand under their old names, computed when they are read (Storage::computed); a missing
// bias is a new parameter `<weight>_bias`, and constants that only the batch norm used are gone.
//
// Tests: fold_batch_norm.test; the numbers: fold_batch_norm_test.cpp.
//
// Returns how many nodes went away. With Compat::intaglio a node stays when folding would change other results: the
// layer's output has other users, the node normalises with batch statistics, or the weight is used elsewhere.
// With Compat::torchao none of this is checked, and a bias-free layer called twice loses its folded bias, as there.
size_t fold_batch_norm(ExportedProgram& program, Compat compat);
// Of those whose batch norms fold.
bool is_convolution(const Node& node);

// Batch norms behind convolutions that are written out, as frozen ones of detectors are: products and quotients with constants and
// sums with others, one number a channel. They become `aten.batch_norm`, which fold_batch_norm takes.
//
// Needs: float32 where half precision is to be widened. Guarantees: only chains with a factor and an offset whose convolution has weights
// of its own, so that what is restored folds. Shown by restore_batch_norms.test.
void restore_batch_norms(ExportedProgram& program);

// Values that reach nothing but a softmax: scores of attention, and what masks are made of.
//
// A mask's numbers (-1e4, the lowest float, -inf) say "not here" and have no size. One of them in a range leaves a single
// step to all scores, and a softmax needs differences of scores finely, so integers have no place before it. A logarithm and
// a root, as norms divide by, need ratios: a spectrum's small values, which are most of what it shows, would all be one step. Of an angle
// nothing counts but what is left of whole turns, which a step of a position times a frequency is beyond. And integers that are made of a
// value, which count or point at something, are other ones a step beside it.
//
// Tests: softmax_operands_test.cpp.
//
// Values that every reader hands on, through arithmetic and moves, to a softmax (or to the mask of an attention, to an
// exponential, a logarithm, a root, a sine or a cast to integers). What returns or compares them is no other reader.
std::unordered_set<const Value*> softmax_operands(const Graph& graph);

// Quantized constants are stored as integers: a static quantize node whose input depends on constants alone becomes a
// buffer `_frozen_param<i>`. Dequantize nodes stay. Float originals that nothing else reads are dropped.
//
// Tests: fold_quantize.test.
//
// Returns how many nodes were folded.
size_t fold_quantize(ExportedProgram& program, Creations creations = Creations::unknown);

}  // namespace intaglio::pt2e
