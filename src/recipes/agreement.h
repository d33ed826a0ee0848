// Does a written file compute what the program computes that it was made of? Test: agreement_test.cpp.
#pragma once

#include <filesystem>

#include <intaglio/check.h>

namespace intaglio::recipes {

struct ComparedMethod {
  std::string name;
  ExportedProgram program;  // as it was before it was lowered
};

// Runs a method of the file in a child process, and `method.program` on the interpreter. What stands in the way of that (no
// runner, a program that the interpreter cannot run, too much work) is said in the result, as is a breach; nothing is thrown
// but bugs.
Agreement agreement_of(const std::filesystem::path& file, const ComparedMethod& method, const std::vector<Tensor>& sample, int threads);

}  // namespace intaglio::recipes
