// A program lowered to the default backend in passing, in a file that goes when it was used.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <vector>

#include <intaglio/backend.h>
#include <intaglio/program.h>

#include "base/leftovers.h"
#include "runtime/runtime.h"

namespace intaglio::report {

// A folder of its own that goes with its contents.
class ScratchFolder {
 public:
  ScratchFolder();
  std::filesystem::path path() const { return folder_.path(); }

 private:
  Leftover folder_;
};

class DeployedFile {
 public:
  // The file, until this goes.
  std::filesystem::path write(ExportedProgram program, int threads) const;
  const Backend& backend() const { return backend_; }

 private:
  const Backend& backend_ = backends().front();
  const ScratchFolder folder_;
};

// The program on the runtime.
class Deployment {
 public:
  Deployment(ExportedProgram program, int threads, std::chrono::milliseconds timeout);
  // User outputs for user inputs, literals excluded.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);

 private:
  ExportedProgram program_;
  DeployedFile file_;
  runtime::PteRunner runner_;
  runtime::MethodInfo method_;
};

}  // namespace intaglio::report
