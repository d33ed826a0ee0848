// Regions: operators that a wrapper holds in a sub-graph only because something was switched around them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::decompose {

// True when the operators of the node's sub-graph compute the same without the wrapper around them.
bool is_transparent(const Node& node);

// Puts the bodies of `wrap_with_set_grad_enabled` and `wrap_with_autocast` in their place, nested ones too. Where autocast is on, casts
// are put before the operators whose results say so.
//
// Needs: nothing. Guarantees: no such wrapper is left, except in sub-graphs that stay: those of conditions and loops. An unsupported error
// names an operator whose type no cast explains. Shown by inline_regions.test.
void inline_regions(ExportedProgram& program);

// True when autocast is on somewhere, outside conditions and loops: operators then have other operands than the graph says.
bool has_autocast(const Graph& graph, int depth = 0);

// The bodies that a node holds; empty for all but higher-order ops.
std::vector<const Graph*> subgraphs_of(const Node& node);

// As `describe`; a node that holds sub-graphs and has no line of the model itself is found by the first operator inside
// that has one.
std::string describe_region(const Node& node);
// What to do with a node whose bodies hold layers that quantization does not reach.
std::string_view advice_for_subgraph(const Node& node);

}  // namespace intaglio::decompose
