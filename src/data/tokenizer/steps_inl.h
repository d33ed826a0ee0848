// The templates of steps.h.
#pragma once

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::data {

template <typename Step>
std::vector<Step> make_sequence(json::Value section, std::string_view key, Step (*make)(json::Value)) {
  constexpr size_t most_steps = 32;
  std::vector<Step> steps;
  for (const json::Value step : section.at(key).array(key)) {
    if (steps.size() == most_steps) throw_bad_input(fmt::format("'{}' has more than {} steps", key, most_steps));
    steps.push_back(make(step));
  }
  return steps;
}

template <typename Step, size_t count>
Step make_step(const std::array<StepType<Step>, count>& types, json::Value section, std::string_view what) {
  const std::string_view type = section.at("type").string("type");
  std::string known;
  for (const StepType<Step>& row : types) {
    if (row.type == type) return row.make(section);
    known += (known.empty() ? "" : ", ") + std::string(row.type);
  }
  throw_unsupported(fmt::format("the {} '{}' is not known here; known are {}", what, escaped(type), known));
}

}  // namespace intaglio::data
