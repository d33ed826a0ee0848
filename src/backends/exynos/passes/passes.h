// Rewrites of a partition before it becomes a graph of Samsung's compiler. `preprocess.cpp` lists them in order and says why; each has a
// `.test` file of its name beside it.
#pragma once

#include <intaglio/program.h>

namespace intaglio::exynos {

// Copies that change neither type nor sizes go.
void remove_copies(ExportedProgram& program);

// A convolution of one dimension becomes one of two, between an unsqueeze and a squeeze. Its weight and what quantizes it get the
// dimension too.
void conv1d_to_conv2d(ExportedProgram& program);

// A number that an operator takes becomes a constant tensor of the operand's type.
void replace_scalars(ExportedProgram& program);

}  // namespace intaglio::exynos
