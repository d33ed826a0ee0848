// How an operator on tensors of more dimensions than the runtime's computes the same on fewer: neighbouring dimensions that it
// treats alike are one.
#pragma once

#include <optional>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio::xnnpack {

struct FlatForm {
  std::vector<std::pair<Value*, SymSizes>> operands;  // those that get other sizes
  SymSizes result;
  ArgumentMap arguments;  // that name dimensions or sizes, as they are written then
};

// Of elementwise operators, quantize, dequantize and choose-qparams nodes, linears, concatenations, slices, softmax, means and sums,
// layer norms, pads, expansions, permutations and what only names sizes anew; before lowering too. nullopt for other operators, and where
// six dimensions are too few.
std::optional<FlatForm> flat_form(const Node& node);

}  // namespace intaglio::xnnpack
