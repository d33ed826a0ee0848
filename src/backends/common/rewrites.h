// A backend's rewrites of a partition before it becomes a payload: one readable list, from top to bottom.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include <intaglio/program.h>

namespace intaglio::common {

struct RewriteStep {
  std::string_view name;
  std::string_view why;
  void (*run)(ExportedProgram&);
};

using RewriteObserver = std::function<void(std::string_view step, const ExportedProgram&)>;

inline void done(std::string_view step, const ExportedProgram& program, const RewriteObserver& observe = {}) {
#ifndef NDEBUG
  verify(program);
#endif
  if (observe) observe(step, program);
}

inline void rewrite(ExportedProgram& program, std::span<const RewriteStep> steps, const RewriteObserver& observe = {}) {
  for (const RewriteStep& step : steps) {
    step.run(program);
    done(step.name, program, observe);
  }
}

}  // namespace intaglio::common
