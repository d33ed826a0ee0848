#include "base/progress.h"

#include <unistd.h>

#include <cstdio>

#include <fmt/format.h>

namespace intaglio {

using namespace std::chrono_literals;

Progress::Progress(std::string label, size_t total, bool enabled)
    : label_(std::move(label)), total_(total), enabled_(enabled && ::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

void Progress::advance(size_t steps) {
  done_ += steps;
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  if (now - start_ < 1s || now - last_ < 100ms) return;
  last_ = now;
  draw();
}

void Progress::draw() {
  constexpr size_t column_width = 30;
  const size_t filled = total_ == 0 ? 0 : column_width * std::min(done_, total_) / total_;
  const std::string bar =
      fmt::format("\r\x1b[K{} [{}{}] {}/{}", label_, std::string(filled, '#'), std::string(column_width - filled, '.'), done_, total_);
  std::fputs(bar.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace intaglio
