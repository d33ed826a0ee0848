// What is allowed but deserves a look.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)

namespace intaglio {

// One line: what, where, what to do.
struct Warning {
  std::string text;
  // Where, if the text is `PLACE: WHAT`: what is said of many places is shown as one line (grouped).
  std::string place;
  // The file is not what was asked for: work that was to be done in integers is not, or its numbers are others. An error where
  // checks are strict (FlowOptions::strict, SaveOptions::strict).
  bool is_breach = false;

  Warning(std::string line, bool breach = false) : text(std::move(line)), is_breach(breach) {}  // NOLINT: implicit on purpose
  static Warning at(std::string place, const std::string& what, bool breach = false) {
    Warning warning(place + ": " + what, breach);
    warning.place = std::move(place);
    return warning;
  }
  operator const std::string&() const { return text; }  // NOLINT
};

// Receives warnings as they arise.
using WarningSink = std::function<void(const Warning&)>;

// For people: one line of all warnings that say the same, names and numbers apart, in the order of the first of each.
// "conv1: it was 0 in every sample; check the data; likewise conv2, conv3 and 1995 more"
std::vector<std::string> grouped(std::span<const Warning> warnings);

}  // namespace intaglio

#pragma GCC visibility pop
