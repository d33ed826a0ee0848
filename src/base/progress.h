// A progress bar on stderr for anything longer than a second, only on a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace intaglio {

class Progress {
 public:
  // `total` steps of something called `label`; `enabled` false (or no terminal) makes it silent.
  Progress(std::string label, size_t total, bool enabled);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(size_t steps = 1);

 private:
  using Clock = std::chrono::steady_clock;
  void draw();
  std::string label_;
  size_t total_;
  size_t done_ = 0;
  bool enabled_;
  bool drawn_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_ = start_;
};

}  // namespace intaglio
