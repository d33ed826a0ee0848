// Inside of lowering: the steps, for tests that want to see a part of them.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include <intaglio/edge.h>

namespace intaglio {

// One step of the list in lower.cpp.
struct LoweringStep {
  std::string_view name;
  std::string_view why;
  void (*run)(ExportedProgram&);
};

// From the exported program to functional ATen without sub-graphs.
std::span<const LoweringStep> normalizing_steps();
// From core ATen to the edge dialect.
std::span<const LoweringStep> edge_steps();

}  // namespace intaglio
