// Whether what a file gives an operator is what it takes: counts, types and kinds of arguments and results, before anything reads them.
#pragma once

#include <span>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio {

// Kinds of the results of a node, in their groups.
struct ResultKinds {
  std::vector<ValueKind> values;
  std::vector<Node::OutputGroup> groups;
};

// Against the operator's schema, or against what Python's functions on sizes take. Operators without either (higher-order
// ones, those of others) pass. A bad-input error names the argument, not the node.
void check_arguments(Op op, std::span<const NamedArgument> arguments, const ResultKinds& results);

// Whether two descriptions of one tensor cannot both be right: another type, or a size that differs in the exported call.
bool contradict(const TensorMeta& claimed, const TensorMeta& inferred);

}  // namespace intaglio
