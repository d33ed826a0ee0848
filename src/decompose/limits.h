// What a decomposition writes out, element by element or node by node, is as large as numbers of the file say: it is bounded.
#pragma once

#include <intaglio/program.h>

#include "decompose/tables.h"

namespace intaglio::decompose {

// The elements of a constant or a list of these sizes, of which nobody needs more than 64 megabytes. An unsupported error that names the
// node where there are more, or where a size is negative.
int64_t written_out(const Node& node, DType dtype, const Sizes& sizes);
// Zeros; an error as of `written_out`.
Tensor bounded_zeros(const Node& node, DType dtype, Sizes sizes);
// 0, 1, ... `count` - 1 as int64; an error as of `written_out`.
Ints counted_numbers(const Node& node, int64_t count);

// How many nodes one node may become, and how many a program may have for that.
constexpr size_t most_nodes_of_one = size_t{1} << 17, most_nodes_of_all = size_t{1} << 20;
[[noreturn]] void refuse_size(const Node& node, size_t nodes);

}  // namespace intaglio::decompose
