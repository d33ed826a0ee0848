// Rewrites of a program before it is partitioned (`write_products`), and of a partition before it becomes a graph of Samsung's compiler:
// `preprocess.cpp` lists those in order and says why. Each has a `.test` file of its name beside it.
#pragma once

#include <intaglio/program.h>
#include <intaglio/pt2e.h>

namespace intaglio::exynos {

// Attention that is one operator becomes products and a softmax, and a product of two matrices one of batches. Under `Compat::torchao`
// products of batches and transpositions do too, those of matrices stay, and nothing is left out that PyTorch's own decompositions write.
void write_products(ExportedProgram& program, Compat compat);
// What `write_products` needs whole: sizes are known, a mask is of numbers, and queries and keys have the same heads.
bool is_written(const Node& node, Compat compat);

// A root mean square norm in parts becomes one operator.
void compose_rms_norm(ExportedProgram& program);

// Copies that change neither type nor sizes go.
void remove_copies(ExportedProgram& program);

// A convolution of one dimension becomes one of two, between an unsqueeze and a squeeze. Its weight and what quantizes it get the
// dimension too.
void conv1d_to_conv2d(ExportedProgram& program);

// What ExecuTorch makes of the mask of a BERT model, the input `attention_mask`: what it hides gets the lowest number that the scores'
// integers have, where the model subtracts a large one.
void fit_masks(ExportedProgram& program);

// A number that an operator takes becomes a constant tensor of the operand's type.
void replace_scalars(ExportedProgram& program);

}  // namespace intaglio::exynos
