// Linear layers that are written as products.
#pragma once

#include <functional>

#include <intaglio/program.h>

namespace intaglio::decompose {

// Of a matrix that is another one transposed: that one. Else null.
Value* transposed_matrix(const Value* matrix);
// Whether the runtime has `aten.linear` of this type.
bool has_linear_kernel(DType dtype);

// Products with a transposed parameter, `x @ w.T`, become linear layers, which backends and `quantize_` know: those that `take` is
// true of. Needs: nothing. Guarantees: nothing else is changed. Shown by recognize_linear.test.
void recognize_linear(ExportedProgram& program, const std::function<bool(const Node&)>& take = {});

}  // namespace intaglio::decompose
