#include "report/deployment.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/recipes.h>

#include "recipes/run_values.h"

namespace intaglio::report {

ScratchFolder::ScratchFolder() {
  const char* chosen = std::getenv("TMPDIR");
  const std::string name = std::string(chosen != nullptr && *chosen != 0 ? chosen : "/tmp") + "/intaglio-";
  folder_ = Leftover::folder(name);
  if (!folder_.exists())
    throw_bad_input(
        fmt::format("{}: no folder can be made there ({}); set TMPDIR to one that can be written", escaped(name), std::strerror(errno)));
}

std::filesystem::path DeployedFile::write(ExportedProgram program, int threads) const {
  std::filesystem::path path = folder_.path() / "deployed.pte";
  PartitionerList partitioners;
  add_backend(partitioners, backend_.name);
  to_edge_transform_and_lower(std::move(program), partitioners, {.threads = threads}).to_executorch({.threads = threads}).save(path);
  return path;
}

Deployment::Deployment(ExportedProgram program, int threads, std::chrono::milliseconds timeout)
    : program_(std::move(program)),
      runner_({.threads = threads, .timeout = timeout, .check_payload = payload_check()}),
      method_(runner_.load(file_.write(program_.clone(), threads))) {}

std::vector<Tensor> Deployment::run(const std::vector<Tensor>& inputs) {
  const std::vector<Tensor> given = recipes::with_literals(program_, inputs);
  return recipes::to_tensors(runner_.run(recipes::to_run_values(method_, given)));
}

}  // namespace intaglio::report
