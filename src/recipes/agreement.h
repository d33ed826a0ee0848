// Does a written file compute what the program computes that it was made of? Test: agreement_test.cpp.
#pragma once

#include <filesystem>

#include <intaglio/check.h>

#include "recipes/first_wrong_layer.h"

namespace intaglio::recipes {

struct ComparedMethod {
  std::string name;
  ExportedProgram program;  // as it was before it was lowered
};

// Runs a method of the file in a child process, and `method.program` on the interpreter. What stands in the way of that (no
// runner, a program that the interpreter cannot run, too much work) is said in the result, as is a breach. Thrown are bugs, and an
// unsupported error for a file that does not run. `options.lower_again` is called when the numbers differ, to find where.
Agreement agreement_of(const std::filesystem::path& file, const ComparedMethod& method, const std::vector<Tensor>& sample,
                       const AgreementOptions& options = {});

}  // namespace intaglio::recipes
