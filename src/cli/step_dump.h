// `--dump DIR`: the program after each step of lowering, as text files that are read in order.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include <intaglio/program.h>

namespace intaglio::cli {

class StepDump {
 public:
  // An empty folder name: nothing is written. Otherwise the folder is made where it is missing.
  explicit StepDump(std::filesystem::path folder);

  // For LowerOptions::observe; writes NN_STEP.txt, whose first line has the step's time. The dump must outlive it.
  std::function<void(std::string_view step, const ExportedProgram&)> observer();

 private:
  void write(std::string_view step, const ExportedProgram& program);
  std::filesystem::path folder_;
  size_t steps_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace intaglio::cli
