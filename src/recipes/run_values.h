// A program's tensors as the values that its `.pte` takes and gives.
#pragma once

#include <vector>

#include <intaglio/program.h>

#include "runtime/runtime.h"

namespace intaglio::recipes {

// One value for each input of the method; `inputs` are those that it does not leave out (None) and that are not fixed for good (strings).
std::vector<runtime::RunValue> to_run_values(const runtime::MethodInfo& method, const std::vector<Tensor>& inputs);
// Numbers become 0-d tensors, None and texts undefined ones, as on the interpreter.
std::vector<Tensor> to_tensors(const std::vector<runtime::RunValue>& values);

// A number that the exported program is fixed to is an input of the `.pte` nevertheless. `inputs` are the program's user inputs;
// the result has these numbers in their places. Strings and None have none.
std::vector<Tensor> with_literals(const ExportedProgram& program, const std::vector<Tensor>& inputs);
bool is_number(const Argument& literal);

}  // namespace intaglio::recipes
