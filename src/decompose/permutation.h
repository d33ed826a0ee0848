// Permutations of dimensions, however they are written.
#pragma once

#include <optional>
#include <vector>

#include <intaglio/graph.h>

namespace intaglio::decompose {

// The order of dimensions that permute, transpose, t, T, mT, movedim and their relatives (also `_copy` forms) produce:
// result dimension i is operand dimension order[i]. nullopt for other ops.
std::optional<std::vector<int64_t>> permutation_of(const Node& node);
std::vector<int64_t> inverse_permutation(const std::vector<int64_t>& order);
// True when the order only moves dimensions of size 1 past others: the elements stay where they are.
bool keeps_element_order(const SymSizes& sizes, const std::vector<int64_t>& order);

}  // namespace intaglio::decompose
