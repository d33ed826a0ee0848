// What operators of the split family have in common: `split`, `chunk`, `tensor_split`, `hsplit`, `vsplit`, `dsplit`.
#pragma once

#include <intaglio/graph.h>

namespace intaglio::decompose {

// Along which dimension the node cuts a tensor of this rank.
int64_t split_dim(const Node& node, int64_t rank);

}  // namespace intaglio::decompose
