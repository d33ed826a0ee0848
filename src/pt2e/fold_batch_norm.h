// Batch normalisation in evaluation mode is an affine map for each channel; when it follows a convolution or a linear
// layer, its factors go into that layer's weight and bias and the node disappears.
//
// Matches `aten.batch_norm.default` and `aten._native_batch_norm_legit_no_training.default` whose input is conv1d/2d/3d,
// conv_transpose1d/2d/3d, the convolution of the edge dialect, or linear on rank-2 inputs. Weights are float; float32 results have the bits
// torchao computes. Afterwards the folded weights stand under their old names, computed when they are read (Storage::computed); a missing
// bias is a new parameter `<weight>_bias`, and constants that only the batch norm used are gone.
//
// Tests: fold_batch_norm.test; the numbers: fold_batch_norm_test.cpp.
#pragma once

#include <intaglio/program.h>
#include <intaglio/pt2e.h>

namespace intaglio::pt2e {

// Returns how many nodes went away. With Compat::intaglio a node stays when folding would change other results: the
// layer's output has other users, the node normalises with batch statistics, or the weight is used elsewhere.
// With Compat::torchao none of this is checked, and a bias-free layer called twice loses its folded bias, as there.
size_t fold_batch_norm(ExportedProgram& program, Compat compat);

}  // namespace intaglio::pt2e
