// One loaded method of one `.pte` program, on the ExecuTorch runtime.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/runtime.h"

namespace intaglio::runtime {

struct RuntimeFailure {
  uint32_t code;  // ExecuTorch's error code
  std::string stage;
  std::string detail;
};

class LoadedProgram {
 public:
  LoadedProgram();
  ~LoadedProgram();
  // Milliseconds for program and method. Throws RuntimeFailure.
  double load(const std::string& path, const std::string& method, uint32_t threads);
  // Outputs of the first run; times of the first run and of `repetitions` more.
  std::vector<RunValue> run(const std::vector<RunValue>& inputs, uint32_t repetitions, OutputRows rows, std::vector<double>& milliseconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace intaglio::runtime
