// A program on the interpreter and a file that was made of it on the ExecuTorch runtime, given the same inputs.
#pragma once

#include <vector>

#include <intaglio/program.h>

#include "runtime/runtime.h"

namespace intaglio::recipes {

// How far an output of the file is from the program's.
struct Distance {
  double sqnr_db = 0;
  double bound_db = 0;  // less is a breach
  double max_abs_error = 0;
  double share = 0;  // of the values, those that are further off than the bound allows all of them to be
  bool is_breach() const { return !(sqnr_db >= bound_db); }
};

class SideBySide {
 public:
  // Runs the program.
  SideBySide(const ExportedProgram& program, std::vector<Tensor> inputs, int threads);

  // Runs the method on a runner that has loaded it.
  void run_file(runtime::PteRunner& runner, const runtime::MethodInfo& method);

  // The same of a program, in integers.
  void run_program(ExportedProgram program);

  const std::vector<Tensor>& expected() const { return expected_; }
  const std::vector<Tensor>& found() const { return found_; }
  // Of an output of float type that both give in the same sizes.
  Distance distance(size_t output);

 private:
  const std::vector<Tensor>& moved(uint64_t seed);

  ExportedProgram reference_;
  std::vector<Tensor> inputs_, given_;  // of the program; and with the numbers that it is fixed to, of the file
  int threads_;
  std::vector<Tensor> expected_, found_;
  std::vector<std::vector<Tensor>> moved_;
};

}  // namespace intaglio::recipes
