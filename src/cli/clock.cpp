#include "cli/clock.h"

#include <algorithm>
#include <ctime>

#include <fmt/format.h>

namespace intaglio::cli {
namespace {

double process_cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace

StepClock::StepClock() : wall_(std::chrono::steady_clock::now()), cpu_(process_cpu_seconds()) {}

void StepClock::step(std::string name) {
  const auto wall = std::chrono::steady_clock::now();
  const double cpu = process_cpu_seconds();
  auto found = std::ranges::find(steps_, name, &StepTime::name);
  if (found == steps_.end()) found = steps_.insert(found, {.name = std::move(name)});
  found->seconds += std::chrono::duration<double>(wall - wall_).count();
  found->cpu_seconds += cpu - cpu_;
  wall_ = wall;
  cpu_ = cpu;
}

Json StepClock::to_json() const {
  Json list = Json::array();
  for (const StepTime& step : steps_) list.push_back({{"name", step.name}, {"seconds", step.seconds}, {"cpu_seconds", step.cpu_seconds}});
  return list;
}

std::string StepClock::to_text() const {
  std::string text;
  for (const StepTime& step : steps_) text += fmt::format("{}{} {:.1f} ms", text.empty() ? "" : ", ", step.name, step.seconds * 1000);
  return text;
}

double StepClock::total_seconds() const {
  double total = 0;
  for (const StepTime& step : steps_) total += step.seconds;
  return total;
}

}  // namespace intaglio::cli
