// What is allowed but deserves a look.
#pragma once

#include <functional>
#include <string>
#include <utility>

#pragma GCC visibility push(default)

namespace intaglio {

// One line: what, where, what to do.
struct Warning {
  std::string text;
  // The file is not what was asked for: work that was to be done in integers is not, or its numbers are others. An error where
  // checks are strict (FlowOptions::strict, SaveOptions::strict).
  bool is_breach = false;

  Warning(std::string line, bool breach = false) : text(std::move(line)), is_breach(breach) {}  // NOLINT: implicit on purpose
  operator const std::string&() const { return text; }                                          // NOLINT
};

// Receives warnings as they arise.
using WarningSink = std::function<void(const Warning&)>;

}  // namespace intaglio

#pragma GCC visibility pop
