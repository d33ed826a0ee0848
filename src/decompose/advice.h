// What to do about an op that nothing here computes.
#pragma once

#include <string>

#include <intaglio/graph.h>

namespace intaglio::decompose {

// How to export the model without the op, where more is known than that there is no kernel: ops of other libraries, grouped
// products of experts. Empty otherwise.
std::string export_advice(const Node& node);

}  // namespace intaglio::decompose
