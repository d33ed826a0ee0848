// Warnings on their way to whoever asked for them; breaches are remembered where checks are strict.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/warning.h>

namespace intaglio::recipes {

class Breaches {
 public:
  Breaches(WarningSink next, bool strict) : next_(std::move(next)), strict_(strict) {}

  // The sink refers to this object.
  WarningSink sink() {
    return [this](const Warning& warning) {
      any_ = any_ || warning.is_breach;
      if (strict_ && warning.is_breach) return breaches_.push_back(warning);
      if (next_) next_(warning);
    };
  }

  bool any() const { return any_; }

  // An unsupported error, one line, if there were any.
  void settle() const {
    if (breaches_.empty()) return;
    constexpr size_t most = 3;
    const std::vector<std::string> lines = grouped(breaches_);
    const auto shown = lines.begin() + static_cast<std::ptrdiff_t>(std::min(most, lines.size()));
    throw_unsupported(fmt::format("not what was asked for, and checks are strict: {}{}", fmt::join(lines.begin(), shown, "; "),
                                  lines.size() > most ? fmt::format("; and {} more", lines.size() - most) : ""));
  }

 private:
  WarningSink next_;
  bool strict_;
  bool any_ = false;
  std::vector<Warning> breaches_;
};

}  // namespace intaglio::recipes
