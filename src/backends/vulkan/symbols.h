// Sizes and positions that are computed at run time. A delegate takes tensors only, so that each of its nodes brings along what
// computes the numbers it reads.
#pragma once

#include <optional>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::vulkan {

// Every node that reads symbols gets nodes of its own that compute them from tensors.
void give_each_reader_its_own_symbols(ExportedProgram& program);

// The nodes that compute the symbols a node reads; those that they read, too.
std::vector<const Node*> symbol_nodes(const Node& reader);

// True for nodes with symbols as their results that the runtime has: sizes of tensors, elements of tensors, and sums, differences,
// products and quotients of both.
bool computes_symbol(const Node& node);

// True for nodes that read the one element of a tensor as a number.
bool looks_at_element(const Node& node);

// What the runtime reads a number from: an element of a tensor that is given to it, since what it computes it does not see.
struct ElementSource {
  Value* tensor;
  int64_t dim, index;
};
// Of a node that looks at an element; null where the runtime has no way to it.
std::optional<ElementSource> element_source(const Node& look);

// The node that a symbol's own nodes are for; the node itself when it computes no symbol.
const Node& reader_of_symbol(const Node& node);

}  // namespace intaglio::vulkan
