// The archive's argument union.
#pragma once

#include <functional>

#include "pt2/read_values.h"

namespace intaglio::pt2 {

struct ArgumentScope {
  const Graph& graph;
  // Reads a sub-graph, whose names have a scope of their own.
  std::function<std::unique_ptr<Graph>(const json::Value&)> read_subgraph;
};

// Names must be defined in the graph already; bad input otherwise.
Argument read_argument(const json::Value& value, const ArgumentScope& scope);

}  // namespace intaglio::pt2
