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
      if (strict_ && warning.is_breach) return lines_.push_back(warning.text);
      if (next_) next_(warning);
    };
  }

  // An unsupported error, one line, if there were any.
  void settle() const {
    if (lines_.empty()) return;
    constexpr size_t most = 3;
    const auto shown = lines_.begin() + static_cast<std::ptrdiff_t>(std::min(most, lines_.size()));
    throw_unsupported(fmt::format("not what was asked for, and checks are strict: {}{}", fmt::join(lines_.begin(), shown, "; "),
                                  lines_.size() > most ? fmt::format("; and {} more", lines_.size() - most) : ""));
  }

 private:
  WarningSink next_;
  bool strict_;
  std::vector<std::string> lines_;
};

}  // namespace intaglio::recipes
