// The ranges of a program's symbols, for parts of it: each part gets those of its own symbols.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio::edge {

class SymbolRanges {
 public:
  // `all` must outlive it, unchanged.
  explicit SymbolRanges(const SymRanges& all);
  // Of the symbols in the sizes that the nodes read and make, alone and in expressions.
  SymRanges of(const std::vector<Node*>& nodes) const;
  // Of all that stands in the graph and in the graphs inside it.
  SymRanges of(const Graph& graph) const;

 private:
  class Part;
  std::unordered_map<std::string, std::vector<SymRanges::const_iterator>> by_symbol_;  // each symbol in them
};

}  // namespace intaglio::edge
