#include "edge/symbol_ranges.h"

#include <unordered_set>

#include "base/sym_symbols.h"
#include "decompose/regions.h"

namespace intaglio::edge {

SymbolRanges::SymbolRanges(const SymRanges& all) {
  for (auto range = all.begin(); range != all.end(); ++range) {
    std::unordered_set<std::string> symbols;
    visit_symbols(*parse_sym_expr(range->first), [&](const std::string& symbol) {
      if (symbols.insert(symbol).second) by_symbol_[symbol].push_back(range);
    });
  }
}

class SymbolRanges::Part {
 public:
  explicit Part(const SymbolRanges& whole) : whole_(whole) {}

  void add(const Value& value) {
    if (value.sym) add_size(*value.sym);
    if (!value.is_tensor()) return;
    for (const SymInt& size : value.sizes()) add_size(size);
  }

  void add(const Graph& graph) {
    for (const Value* input : graph.inputs()) add(*input);
    for (const Node* node : graph.node_list()) {
      for (const Value* output : node->outputs()) add(*output);
      for (const Graph* inner : decompose::subgraphs_of(*node)) add(*inner);
    }
  }

  SymRanges ranges;

 private:
  void add_size(const SymInt& size) {
    if (size.is_static()) return;
    visit_symbols(*size.expression(), [&](const std::string& symbol) {
      const auto found = seen_.insert(symbol).second ? whole_.by_symbol_.find(symbol) : whole_.by_symbol_.end();
      if (found == whole_.by_symbol_.end()) return;
      for (const auto& range : found->second) ranges.insert(*range);
    });
  }

  const SymbolRanges& whole_;
  std::unordered_set<std::string> seen_;
};

SymRanges SymbolRanges::of(const std::vector<Node*>& nodes) const {
  Part part(*this);
  if (by_symbol_.empty()) return part.ranges;
  for (const Node* node : nodes) {
    for (const Value* input : node->inputs()) part.add(*input);
    for (const Value* output : node->outputs()) part.add(*output);
  }
  return part.ranges;
}

SymRanges SymbolRanges::of(const Graph& graph) const {
  Part part(*this);
  if (!by_symbol_.empty()) part.add(graph);
  return part.ranges;
}

}  // namespace intaglio::edge
