// Values that reach nothing but a softmax: scores of attention, and what masks are made of.
//
// A mask's numbers (-1e4, the lowest float, -inf) say "not here" and have no size. One of them in a range leaves a single
// step to all scores, and a softmax needs differences of scores finely, so integers have no place before it. A logarithm and
// the root that a norm divides by need ratios: a spectrum's small values, which are most of what it shows, would all be one step. And
// integers that are made of a value, which count or point at something, are other ones a step beside it.
//
// Tests: softmax_operands_test.cpp.
#pragma once

#include <unordered_set>

#include <intaglio/graph.h>

namespace intaglio::pt2e {

// Values that every reader hands on, through arithmetic and moves, to a softmax (or to the mask of an attention, to an
// exponential, a logarithm, an inverse root or a cast to integers). What returns or compares them is no other reader.
std::unordered_set<const Value*> softmax_operands(const Graph& graph);

}  // namespace intaglio::pt2e
