// Wall and CPU time of named steps.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "cli/output.h"

namespace intaglio::cli {

struct StepTime {
  std::string name;
  double seconds = 0;
  double cpu_seconds = 0;  // of all threads of this process
};

class StepClock {
 public:
  StepClock();
  // Ends the step that ran since the last call (or since construction). A name given again adds to its step.
  void step(std::string name);
  const std::vector<StepTime>& steps() const { return steps_; }
  Json to_json() const;
  std::string to_text() const;  // load 2.1 ms, prepare 0.8 ms, ...
  double total_seconds() const;

 private:
  std::chrono::steady_clock::time_point wall_;
  double cpu_;
  std::vector<StepTime> steps_;
};

}  // namespace intaglio::cli
