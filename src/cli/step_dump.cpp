#include "cli/step_dump.h"

#include <algorithm>
#include <system_error>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/atomic_file.h"

namespace intaglio::cli {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

}  // namespace

StepDump::StepDump(std::filesystem::path folder) : folder_(std::move(folder)) {
  if (folder_.empty()) return;
  std::error_code problem;
  std::filesystem::create_directories(folder_, problem);
  if (problem) throw_bad_input(fmt::format("{}: cannot be made a folder: {}", escaped(folder_.string()), problem.message()));
}

std::function<void(std::string_view, const ExportedProgram&)> StepDump::observer() {
  start_ = std::chrono::steady_clock::now();
  if (folder_.empty()) return {};
  return [this](std::string_view step, const ExportedProgram& program) { write(step, program); };
}

void StepDump::write(std::string_view step, const ExportedProgram& program) {
  const Milliseconds time = std::chrono::steady_clock::now() - start_;
  std::string name = fmt::format("{:02}_{}.txt", ++steps_, step);
  std::ranges::replace(name, ' ', '_');
  write_file_atomically(folder_ / name, fmt::format("# {}: {:.2f} ms\n", step, time.count()) + to_string(program));
  start_ = std::chrono::steady_clock::now();  // writing is no part of the next step
}

}  // namespace intaglio::cli
