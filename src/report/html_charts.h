// Charts as SVG that needs no script.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/pte_explanation.h"

namespace intaglio::report {

// What values a tensor has, in few bins over [min, max], and the range that its integers cover.
struct ValueHistogram {
  static constexpr size_t most_bins = 64;

  std::string tensor, layer;
  std::string about;  // "histogram, int8": who looked, as what it is stored
  std::vector<double> counts;
  double min = 0, max = 0;
  std::optional<std::pair<double, double>> chosen;
};

// A figure. Without counts the range that was seen stands as one bar.
std::string histogram_figure(const ValueHistogram& histogram);

// One arena of a method: instructions from left to right, addresses from below. The largest tensors, and how many were left out.
std::string memory_chart(const MethodContents& method, const Arena& arena);

}  // namespace intaglio::report
